// What becomes of a gradient: rows of weights and time constants are updated, or their gradients are summed.
#pragma once

#include "optimizers.hpp"
#include "workspace.hpp"

namespace glebench {

// f(neuron, index): each row of a tile, with the index of its first number in an array of the tile alone.
template <class T, class F> void each_row(const LayerBuffers<T> &layer, const RowTile &tile, F f) {
    for (int r = 0; r < tile.rows; ++r) f(layer.populations.order[tile.begin + r], size_t(r) * layer.stride);
}

// Feedback weights B take the step that W took from `before`, and both decay (Kolen and Pollack). Biases do not.
template <class T>
void follow(const LayerBuffers<T> &layer, const RowTile &tile, const T *before, const Update<T> &update) {
    each_row(layer, tile, [&](int neuron, size_t at) {
        T *__restrict w = layer.weight.value + size_t(neuron) * layer.stride;
        T *__restrict back = layer.back + size_t(neuron) * layer.stride;
        const T *__restrict old = before + at;
        for (int i = 0; i < layer.inputs; ++i) {
            back[i] = (back[i] + (w[i] - old[i])) * update.kept;
            w[i] *= update.kept;
        }
    });
}

// The rows' weights and biases, by `factor` times the given values; `before`: scratch memory for as many numbers.
template <class T>
void update_rows(const LayerBuffers<T> &layer, const RowTile &tile, const T *gradient, T *before, T factor,
                 const Update<T> &update) {
    const size_t stride = layer.stride, begin = size_t(tile.begin) * stride;
    const T *weights = layer.weight.value;
    if (update.follows)
        each_row(layer, tile, [&](int neuron, size_t at) {
            std::copy_n(weights + size_t(neuron) * stride, stride, before + at);
        });
    if (layer.populations.sorted) update.apply(layer.weight.from(begin), gradient, factor, tile.rows * stride);
    else
        each_row(layer, tile, [&](int neuron, size_t at) {
            update.apply(layer.weight.from(size_t(neuron) * stride), gradient + at, factor, stride);
        });
    if (update.follows) follow(layer, tile, before, update);
}

// The same gradient, added to the sums of a member in a window of steps.
template <class T>
void sum_rows(const LayerBuffers<T> &layer, const RowTile &tile, const T *gradient, T factor, int64_t window) {
    const Sums<T> &sums = layer.layer->sums;
    each_row(layer, tile, [&](int neuron, size_t at) {
        const size_t row = size_t(window) * layer.neurons + neuron;
        T *to = sums.weight + row * layer.inputs;
        for (int i = 0; i < layer.inputs; ++i) to[i] += factor * gradient[at + i];
        if (sums.bias) sums.bias[row] += factor * gradient[at + layer.inputs];
    });
}

} // namespace glebench
