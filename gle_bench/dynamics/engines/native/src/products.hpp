// The three matrix products of a step, tile by tile: use of registers and order of sums.
//
// Neurons lie as (neurons, lanes) in panels of a few vectors of the batch; weights lie as (N, stride), row after row.
// The order of every sum depends on the shapes alone.
#pragma once

#include <utility>

#include "vectors.hpp"

namespace glebench {

template <class T, int R, int C> using Tile = Vector<T>[R][C];

template <class T, int R, int C>
[[gnu::always_inline]] inline void store_tile(const Tile<T, R, C> &sum, T *to, int stride) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
        for (int c = 0; c < C; ++c) store(to + r * stride + c * LANES<T>, sum[r][c]);
}

// out (R, C vectors) = W r for R rows of W and a panel of C vectors.
template <class T, int R, int C>
void forward_tile(const T *weights, size_t stride, const T *rates, int inputs, T *out) {
    constexpr int V = LANES<T>;
    Tile<T, R, C> sum = {};
    for (int i = 0; i < inputs; ++i, rates += C * V)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Vector<T> weight = all(weights[r * stride + i]);
#pragma GCC unroll 3
            for (int c = 0; c < C; ++c) sum[r][c] += weight * load(rates + c * V);
        }
    store_tile<T, R, C>(sum, out, C * V);
}

// out (R, C vectors) = R rows of W^T e, the columns of W that begin at `weights`, for a panel of C vectors.
template <class T, int R, int C>
void error_tile(const T *weights, size_t stride, const T *errors, int neurons, T *out) {
    constexpr int V = LANES<T>;
    Tile<T, R, C> sum = {};
    for (int j = 0; j < neurons; ++j, weights += stride, errors += C * V)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Vector<T> weight = all(weights[r]);
#pragma GCC unroll 3
            for (int c = 0; c < C; ++c) sum[r][c] += weight * load(errors + c * V);
        }
    store_tile<T, R, C>(sum, out, C * V);
}

// The layout of a batch of neurons: panel p begins at begin(p) * neurons vectors.
using Panels = Partition;

// out (R, C vectors) = e r summed over the batch, for R neurons and a strip of C vectors of inputs. Errors lie in
// panels; rates are turned: (B, inputs of the strip).
template <class T, int R, int C>
void gradient_tile(const T *errors, int neurons, int first, const Panels &panels, int batch, const T *turned, T *out,
                   int stride) {
    constexpr int V = LANES<T>;
    Tile<T, R, C> sum = {};
    for (int p = 0; p < panels.count; ++p) {
        const int begin = panels.begin(p) * V, lanes = panels.length(p) * V, present = batch - begin;
        const T *e = errors + size_t(begin) * neurons + size_t(first) * lanes;
        for (int lane = 0; lane < lanes && lane < present; ++lane, turned += C * V)
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                const Vector<T> error = all(e[r * lanes + lane]);
#pragma GCC unroll 3
                for (int c = 0; c < C; ++c) sum[r][c] += error * load(turned + c * V);
            }
    }
    store_tile<T, R, C>(sum, out, stride);
}

// Lanes of a and b in turn, from lane FIRST on.
template <int FIRST, class T, int... LANE>
inline Vector<T> in_turn(Vector<T> a, Vector<T> b, std::integer_sequence<int, LANE...>) {
    return __builtin_shufflevector(a, b, (FIRST + LANE / 2 + LANE % 2 * LANES<T>)...);
}

// The transpose of V rows of V values, which lie `from_stride` and then `to_stride` apart: rows n and n + V/2 dealt out
// in turn, as often as V halves to 1.
template <class T> inline void turn_block(const T *from, size_t from_stride, T *to, size_t to_stride) {
    constexpr int V = LANES<T>;
    constexpr auto lanes = std::make_integer_sequence<int, V>{};
    Vector<T> x[V], y[V];
#pragma GCC unroll 8
    for (int n = 0; n < V; ++n) x[n] = load(from + n * from_stride);
#pragma GCC unroll 8
    for (int halves = V; halves > 1; halves /= 2) {
#pragma GCC unroll 8
        for (int n = 0; n < V / 2; ++n) {
            y[2 * n] = in_turn<0, T>(x[n], x[n + V / 2], lanes);
            y[2 * n + 1] = in_turn<V / 2, T>(x[n], x[n + V / 2], lanes);
        }
#pragma GCC unroll 8
        for (int n = 0; n < V; ++n) x[n] = y[n];
    }
#pragma GCC unroll 8
    for (int n = 0; n < V; ++n) store(to + n * to_stride, x[n]);
}

// f(integral constants R, C) for run-time rows 1..ROWS and columns 1..COLUMNS.
template <class F> inline void with_tile(int rows, int columns, F f) {
    const auto with_rows = [&](auto r) {
        if (columns == 1) f(r, std::integral_constant<int, 1>{});
        else if (columns == 2) f(r, std::integral_constant<int, 2>{});
        else f(r, std::integral_constant<int, 3>{});
    };
    switch (rows) {
    case 1: return with_rows(std::integral_constant<int, 1>{});
    case 2: return with_rows(std::integral_constant<int, 2>{});
    case 3: return with_rows(std::integral_constant<int, 3>{});
    case 4: return with_rows(std::integral_constant<int, 4>{});
#if defined(__AVX512VL__)
    case 5: return with_rows(std::integral_constant<int, 5>{});
    case 6: return with_rows(std::integral_constant<int, 6>{});
    case 7: return with_rows(std::integral_constant<int, 7>{});
    case 8: return with_rows(std::integral_constant<int, 8>{});
#endif
    }
}

} // namespace glebench
