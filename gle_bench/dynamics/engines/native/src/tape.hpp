// Backpropagation through time by a tape: gle_bench/dynamics/tape.py and the exact errors of adjoint.py. A window is run
// without errors, or nudged by instantaneous ones; then errors go backward in time, and their products with the recorded
// rates are summed for one update.
#pragma once

#include "network.hpp"

namespace glebench {

template <class T> void Network<T>::run_windows() {
    for (int64_t begin = 0, window = 0; begin < run_.steps; begin += run_.window, ++window) {
        const int64_t end = std::min(begin + run_.window, run_.steps);
        for (int64_t step = begin; step < end; ++step) record(int(step));
        for (const LayerBuffers<T> &layer : space_.layers)
            for (T *array : {layer.backward.above, layer.backward.owed})
                std::fill(array + space_.offset(first_, layer.neurons), array + space_.offset(last_, layer.neurons),
                          T(0));
        for (int64_t step = end; step-- > begin;) go_back(int(step));
        for (LayerBuffers<T> &layer : space_.layers)
            if (!run_.every && learns(layer)) learn_window(layer, int(window), int(end - begin));
        barrier_.wait(); // the next window needs all weights
    }
}

// A step forward: what it leaves behind lies in the slots of its number.
template <class T> void Network<T>::record(int step) {
    take_in(step);
    const int outputs = space_.layers.back().neurons;
    for (int p = first_; p < last_; ++p) {
        const Place all = place(p, outputs, 0, outputs);
        nudging_of(all, p, space_.nudging.at(step) + all.at);
        const LayerBuffers<T> &last = space_.layers.back();
        if (run_.errors && last.layer->has_errors) error_rows(last, run_, all, space_.nudging.at(step) + all.at, step);
    }
    for (int k = top(); k >= 0; --k) {
        if (run_.errors) send_down(k, step);
        if (learns(space_.layers[k])) turn(space_.layers[k], below(k), step);
        forward(space_.layers[k], below(k), step);
        if (run_.errors) receive(k, step);
    }
}

// The errors of a step, from those of the step after it: from below, so that each layer reads what came from above
// before the layer above overwrites it.
template <class T> void Network<T>::go_back(int step) {
    for (int k = 0; k <= top(); ++k) {
        const LayerBuffers<T> &layer = space_.layers[k];
        if (!layer.layer->has_errors) continue;
        errors_before(layer, step);
        if (k == 0 || !space_.layers[k - 1].layer->has_errors) continue;
        const LayerBuffers<T> &lower = space_.layers[k - 1];
        feed_back(layer, layer.backward.error,
                  [&](int p) { return lower.backward.above + space_.offset(p, lower.neurons); });
    }
    const LayerBuffers<T> &last = space_.layers.back();
    const size_t begin = space_.offset(first_, last.neurons), end = space_.offset(last_, last.neurons);
    std::copy_n(space_.nudging.at(step) + begin, end - begin, last.backward.above + begin);
    barrier_.wait(); // each thread has its panels, and now needs those of all
    for (const LayerBuffers<T> &layer : space_.layers)
        if (learns(layer)) add_products(layer, step);
    barrier_.wait();
}

// lambda and i of a step, and -dC/du before it.
template <class T> void Network<T>::errors_before(const LayerBuffers<T> &layer, int step) {
    const Backward<T> &backward = layer.backward;
    for (int p = first_; p < last_; ++p) {
        const Place all = place(p, layer.neurons, 0, layer.neurons);
        const T *slope = layer.slope.at(step + 1) + all.at, *above = backward.above + all.at;
        T *owed = backward.owed + all.at, *error = backward.error + all.at;
        T *instants = layer.instant ? layer.instant + all.at : nullptr;
        for (int n = 0, k = 0; n < layer.neurons; ++n)
            for (int end = k + all.lanes; k < end; k += LANES<T>) {
                const Vector<T> instant = load(slope + k) * load(above + k), before = load(owed + k);
                const Vector<T> made = before * layer.membrane.step[n] + instant * layer.membrane.ahead[n];
                store(error + k, made);
                store(owed + k, before + (instant - made));
                if (instants) store(instants + k, instant);
            }
    }
}

// This thread's share of the products of a step, added to those of the window, or to the sums that were asked for.
template <class T> void Network<T>::add_products(const LayerBuffers<T> &layer, int step) {
    const Backward<T> &backward = layer.backward;
    const std::vector<RowTile> &tiles = layer.populations.tiles;
    const T mean = T(1) / T(space_.batch), *turned = layer.presynaptic.at(step);
    for (size_t number = thread_; number < tiles.size(); number += threads_) {
        const RowTile &tile = tiles[number];
        multiply(layer, tile, backward.error, turned);
        if (run_.every) {
            sum_rows(layer, tile, own_.gradient, -mean, window_of_sums(step));
            continue;
        }
        T *__restrict to = backward.weight + size_t(tile.begin) * layer.stride;
        const T *__restrict gradient = own_.gradient;
        for (int i = 0; i < tile.rows * layer.stride; ++i) to[i] += gradient[i];
    }
    if (!run_.learn_tau_m && !run_.learn_tau_r) return;
    const T *u_dot = layer.u_dot.at(step);
    const auto add = [&](bool wanted, T *window, T *sums, int n, const T *error, T factor) {
        if (!wanted) return;
        const T product = factor * over_batch(layer.neurons, n, error, u_dot);
        if (run_.every) sums[size_t(window_of_sums(step)) * layer.neurons + n] += product;
        else window[n] += product;
    };
    for (int n = thread_; n < layer.neurons; n += threads_) {
        add(run_.learn_tau_m, backward.tau_m, layer.layer->sums.tau_m, n, backward.error, mean);
        add(run_.learn_tau_r, backward.tau_r, layer.layer->sums.tau_r, n, layer.instant, -mean);
    }
}

// This thread's share of the update at the end of a window, whose gradient is a mean over its steps.
template <class T> void Network<T>::learn_window(LayerBuffers<T> &layer, int window, int steps) {
    const Update<T> update(run_, run_.rates[member_], window);
    const Backward<T> &backward = layer.backward;
    const std::vector<RowTile> &tiles = layer.populations.tiles;
    for (size_t number = thread_; number < tiles.size(); number += threads_) {
        T *sums = backward.weight + size_t(tiles[number].begin) * layer.stride;
        update_rows(layer, tiles[number], sums, own_.gradient, T(-1) / (T(space_.batch) * T(steps)), update);
        std::fill_n(sums, size_t(tiles[number].rows) * layer.stride, T(0));
    }
    const auto learn_tau = [&](bool wanted, const Learned<T> &tau, T *sums, int n) {
        if (!wanted) return;
        update.apply(tau.from(n), sums + n, T(1) / T(steps), 1);
        clamp(tau.value + n, 1, run_);
        sums[n] = 0;
    };
    for (int n = 0; n < layer.neurons && thread_ == 0; ++n) {
        learn_tau(run_.learn_tau_m, layer.tau_m, backward.tau_m, n);
        learn_tau(run_.learn_tau_r, layer.tau_r, backward.tau_r, n);
    }
    if (thread_ == 0 && (run_.learn_tau_m || run_.learn_tau_r)) set_leaks(layer, run_);
}

} // namespace glebench
