// The three matrix products of a step, tile by tile: what stays in registers, and in which order sums are made.
//
// Neurons lie as (neurons, lanes) in panels of a few vectors of the batch; weights lie in slabs of at most ROWS rows,
// (inputs, ROWS). The bias is the weight of an input that is always 1. Every sum runs in an order that shapes decide.
#pragma once

#include <array>
#include <utility>

#include "vectors.hpp"

namespace glebench {

// out (R, C vectors) = W r for R rows of a slab and a panel of C vectors.
template <class T, int R, int C> void forward_tile(const T *slab, const T *rates, int inputs, T *out) {
    constexpr int V = LANES<T>;
    Vector<T> sum[R][C] = {};
    for (int i = 0; i < inputs; ++i) {
        const T *w = slab + i * ROWS, *x = rates + i * C * V;
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Vector<T> weight = all(w[r]);
#pragma GCC unroll 3
            for (int c = 0; c < C; ++c) sum[r][c] += weight * load(x + c * V);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
        for (int c = 0; c < C; ++c) store(out + (r * C + c) * V, sum[r][c]);
}

// out (R, C vectors) = rows `first` to first + R of W^T e, for a panel of C vectors.
template <class T, int R, int C>
void error_tile(const T *slabs, size_t slab_size, const Partition &rows, int first, const T *errors, T *out) {
    constexpr int V = LANES<T>;
    Vector<T> sum[R][C] = {};
    const T *e = errors;
    for (int tile = 0; tile < rows.count; ++tile) {
        const T *w = slabs + tile * slab_size + first * ROWS;
        const int length = rows.length(tile);
        for (int j = 0; j < length; ++j, ++w, e += C * V) {
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                const Vector<T> weight = all(w[r * ROWS]);
#pragma GCC unroll 3
                for (int c = 0; c < C; ++c) sum[r][c] += weight * load(e + c * V);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
        for (int c = 0; c < C; ++c) store(out + (r * C + c) * V, sum[r][c]);
}

// Where a batch of neurons lies: panel p begins at begin(p) * neurons vectors.
using Panels = Partition;

// Adds the products e r of `count` panels of C vectors each to sum (I, R): neighbouring panels lie e_size and x_size apart.
template <class T, int R, int I, int C>
[[gnu::always_inline]] inline void add_panels(const T *e, size_t e_size, const T *x, size_t x_size, int count,
                                              Vector<T> (&sum)[I][R]) {
    constexpr int V = LANES<T>;
    for (int p = 0; p < count; ++p, e += e_size, x += x_size)
#pragma GCC unroll 3
        for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                const Vector<T> error = load(e + (r * C + c) * V);
#pragma GCC unroll 3
                for (int i = 0; i < I; ++i) sum[i][r] += error * load(x + (i * C + c) * V);
            }
}

// sums (I, ROWS vectors, of which R are written): for each of I inputs and R rows the products e r, summed over the
// batch but not yet over lanes.
template <class T, int R, int I>
[[gnu::always_inline]] inline void gradient_tile(const T *errors, int neurons, int row, const T *rates, int inputs,
                                                 int input, const Panels &panels, T *sums) {
    constexpr int V = LANES<T>;
    Vector<T> sum[I][R] = {};
    const int counts[2] = {panels.larger, panels.count - panels.larger};
    for (int kind = 0, p = 0; kind < 2; p += counts[kind++]) {
        const int c = panels.size + 1 - kind;
        const T *e = errors + (size_t(panels.begin(p)) * neurons + size_t(row) * c) * V;
        const T *x = rates + (size_t(panels.begin(p)) * inputs + size_t(input) * c) * V;
        const size_t e_size = size_t(neurons) * c * V, x_size = size_t(inputs) * c * V;
        if (c == 1) add_panels<T, R, I, 1>(e, e_size, x, x_size, counts[kind], sum);
        else if (c == 2) add_panels<T, R, I, 2>(e, e_size, x, x_size, counts[kind], sum);
        else if (c == 3) add_panels<T, R, I, 3>(e, e_size, x, x_size, counts[kind], sum);
    }
#pragma GCC unroll 3
    for (int i = 0; i < I; ++i)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) store(sums + (i * ROWS + r) * V, sum[i][r]);
}

// Sums of pairs of lanes: what a tree of these leaves of V vectors is a vector of their V sums.
#define GLEBENCH_PAIRS(a, b, ...) (__builtin_shufflevector(a, b, __VA_ARGS__))

inline Vector<float> sums_of(const float *from) {
    constexpr int V = LANES<float>;
    Vector<float> two[4], four[2];
    for (int n = 0; n < 4; ++n) {
        const Vector<float> a = load(from + 2 * n * V), b = load(from + (2 * n + 1) * V);
        two[n] = GLEBENCH_PAIRS(a, b, 0, 8, 1, 9, 4, 12, 5, 13) + GLEBENCH_PAIRS(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int n = 0; n < 2; ++n) {
        const Vector<float> a = two[2 * n], b = two[2 * n + 1];
        four[n] = GLEBENCH_PAIRS(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + GLEBENCH_PAIRS(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
    const Vector<float> a = four[0], b = four[1];
    return GLEBENCH_PAIRS(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + GLEBENCH_PAIRS(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}

inline Vector<double> sums_of(const double *from) {
    constexpr int V = LANES<double>;
    Vector<double> two[2];
    for (int n = 0; n < 2; ++n) {
        const Vector<double> a = load(from + 2 * n * V), b = load(from + (2 * n + 1) * V);
        two[n] = GLEBENCH_PAIRS(a, b, 0, 4, 2, 6) + GLEBENCH_PAIRS(a, b, 1, 5, 3, 7);
    }
    const Vector<double> a = two[0], b = two[1];
    return GLEBENCH_PAIRS(a, b, 0, 1, 4, 5) + GLEBENCH_PAIRS(a, b, 2, 3, 6, 7);
}

#undef GLEBENCH_PAIRS

// The sum over the lanes of each of `count` vectors, times `factor`. Reads and writes up to a vector's worth more.
template <class T> inline void sum_lanes(const T *vectors, int count, T factor, T *to) {
    for (int n = 0; n < count; n += LANES<T>) store_anywhere<T>(to + n, sums_of(vectors + n * LANES<T>) * factor);
}

// gradient (inputs, ROWS) = factor e r for R rows, summed over the batch.
template <class T, int R>
void gradient_rows(const T *errors, int neurons, int row, const T *rates, int inputs, const Panels &panels, T factor,
                   T *gradient) {
    alignas(ALIGNMENT) T sums[(ROWS * COLUMNS + LANES<T>) * LANES<T>] = {}; // rows that are not there stay at zero
    const Partition parts(inputs, COLUMNS);
    for (int part = 0; part < parts.count; ++part) {
        const int input = parts.begin(part), columns = parts.length(part);
        if (columns == 1) gradient_tile<T, R, 1>(errors, neurons, row, rates, inputs, input, panels, sums);
        else if (columns == 2) gradient_tile<T, R, 2>(errors, neurons, row, rates, inputs, input, panels, sums);
        else gradient_tile<T, R, 3>(errors, neurons, row, rates, inputs, input, panels, sums);
        sum_lanes(sums, columns * ROWS, factor, gradient + input * ROWS);
    }
}

// f(integral constant) for run-time rows 1..ROWS.
template <class F> inline void with_rows(int rows, F f) {
    switch (rows) {
    case 1: return f(std::integral_constant<int, 1>{});
    case 2: return f(std::integral_constant<int, 2>{});
    case 3: return f(std::integral_constant<int, 3>{});
    case 4: return f(std::integral_constant<int, 4>{});
#if defined(__AVX512VL__)
    case 5: return f(std::integral_constant<int, 5>{});
    case 6: return f(std::integral_constant<int, 6>{});
    case 7: return f(std::integral_constant<int, 7>{});
    case 8: return f(std::integral_constant<int, 8>{});
#endif
    }
}

// f(integral constants R, C) for run-time rows 1..ROWS and columns 1..COLUMNS.
template <class F> inline void with_tile(int rows, int columns, F f) {
    with_rows(rows, [&](auto r) {
        if (columns == 1) f(r, std::integral_constant<int, 1>{});
        else if (columns == 2) f(r, std::integral_constant<int, 2>{});
        else f(r, std::integral_constant<int, 3>{});
    });
}

} // namespace glebench
