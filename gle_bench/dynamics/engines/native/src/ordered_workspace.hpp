// The memory and the products of an ordered network: sample after sample, each with its neurons side by side in vectors,
// so that a batch of one wastes no lane. Every sum runs in an order that shapes decide.
#pragma once

#include "workspace.hpp"

namespace glebench {

// An integrated variable, u or v of a layer: at t, at the stage of the step, and the partial sum for t + dt.
template <class T> struct Integrated {
    T *now, *stage, *end;
};

// The values that a traversal computes in a layer.
template <class T> struct Found {
    T *r, *slope, *e;
};

// The arrays of one layer, all (B, padded N). Values at t are kept apart from those of later stages.
template <class T> struct OrderedLayer : LayerBuffers<T> {
    Integrated<T> membrane_u, error_v;
    Found<T> first, later;
    int width; // of a sample

    OrderedLayer(const Layer<T> &layer, const int64_t *population)
        : LayerBuffers<T>(layer, population), width(padded<T>(this->neurons)) {}

    void lay_out(Arena &arena, size_t batch, const Run<T> &run) {
        LayerBuffers<T>::lay_out(arena, batch, run);
        const auto take = [&] { return run.integrator == RK4 ? arena.take<T>(batch * width) : nullptr; };
        membrane_u = {this->u, take(), take()};
        error_v = {this->v, take(), take()};
        first = {this->r, this->slope.first, this->e};
        later = {take(), take(), take()};
    }
};

// Inputs, targets and mask at one instant.
template <class T> struct Instant {
    T *inputs; // (B, padded N_in)
    T *target; // (B, padded C)
};

template <class T> struct OrderedWorkspace {
    Arena arena;
    const int batch;
    std::vector<OrderedLayer<T>> layers;
    Instant<T> now, middle, following;
    T *mask;     // (B)  of now
    T *above;    // (B, widest)  W^T e of the layer above the one at hand, or the nudging
    T *gradient; // (ROWS, widest)

    explicit OrderedWorkspace(const Run<T> &run) : batch(int(run.batch)) {
        each_layer(run, [&](const Layer<T> &layer, const int64_t *own) { layers.emplace_back(layer, own); });
        lay_out(run);
        arena.allocate();
        lay_out(run);
    }

  private:
    void lay_out(const Run<T> &run) {
        int widest = layers.back().width;
        for (OrderedLayer<T> &layer : layers) {
            layer.lay_out(arena, batch, run);
            widest = std::max(widest, layer.stride);
        }
        for (Instant<T> *instant : {&now, &middle, &following})
            *instant = {arena.take<T>(size_t(batch) * layers.front().stride),
                        arena.take<T>(size_t(batch) * layers.back().width)};
        mask = arena.take<T>(batch);
        above = arena.take<T>(size_t(batch) * widest);
        gradient = arena.take<T>(size_t(ROWS) * widest);
    }
};

// W x for as many rows of W as a vector has lanes.
template <class T> inline Vector<T> times(const T *weights, size_t stride, const T *x) {
    constexpr int V = LANES<T>;
    constexpr auto lanes = std::make_integer_sequence<int, V>{};
    Vector<T> sum[V] = {};
    for (size_t i = 0; i < stride; i += V)
#pragma GCC unroll 8
        for (int n = 0; n < V; ++n) sum[n] += load(weights + n * stride + i) * load(x + i);
    // Half of the lanes on the other half, two rows in one vector, until each row is one lane: in the rows' order.
#pragma GCC unroll 8
    for (int half = V / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int n = 0; n < half; ++n)
            sum[n] = in_turn<0, T>(sum[n], sum[n + half], lanes) + in_turn<V / 2, T>(sum[n], sum[n + half], lanes);
    return sum[0];
}

// C vectors of W^T e.
template <class T, int C> void transposed_times(const T *weights, size_t stride, const T *e, int neurons, T *out) {
    Tile<T, 1, C> sum = {};
    for (int j = 0; j < neurons; ++j, weights += stride)
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[0][c] += e[j] * load(weights + c * LANES<T>);
    store_tile<T, 1, C>(sum, out, 0);
}

constexpr int SPAN = 8; // vectors of W^T e at once: enough sums that none waits for the one before

// f(integral constant) for 1..SPAN.
template <class F> inline void with_span(int vectors, F f) {
    switch (vectors) {
    case 1: return f(std::integral_constant<int, 1>{});
    case 2: return f(std::integral_constant<int, 2>{});
    case 3: return f(std::integral_constant<int, 3>{});
    case 4: return f(std::integral_constant<int, 4>{});
    case 5: return f(std::integral_constant<int, 5>{});
    case 6: return f(std::integral_constant<int, 6>{});
    case 7: return f(std::integral_constant<int, 7>{});
    case 8: return f(std::integral_constant<int, 8>{});
    }
}

// e r summed over the batch, for R neurons and C vectors of inputs.
template <class T, int R, int C>
void outer_tile(const T *errors, int width, const T *rates, int stride, int batch, T *out) {
    Tile<T, R, C> sum = {};
    for (int b = 0; b < batch; ++b, errors += width, rates += stride)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
            for (int c = 0; c < C; ++c) sum[r][c] += errors[r] * load(rates + c * LANES<T>);
    store_tile<T, R, C>(sum, out, stride);
}

} // namespace glebench
