// Copies a member's parameters, moments and state from torch's memory into the workspace, and back.
#pragma once

#include "tape.hpp"

namespace glebench {

template <class T> T *member_of(T *first, int64_t member, size_t size) {
    return first ? first + member * size : nullptr;
}

// f(torch's, ours, rows in ours): each variable of the state of `step` but W^T e, which is not kept from step to step.
template <class T, class F> void each_variable(const LayerBuffers<T> &buffers, int64_t step, F f) {
    const Layer<T> &layer = *buffers.layer;
    f(layer.u, buffers.u, buffers.neurons);
    f(layer.v, buffers.v, buffers.neurons);
    f(layer.r, buffers.r, padded<T>(buffers.neurons));
    f(layer.e, buffers.e, buffers.neurons);
    f(layer.slope, buffers.slope.at(step), buffers.neurons);
}

// f(torch's weight, torch's bias, rows): the values, then each moment.
template <class T, class F> void each_weight_part(const LayerBuffers<T> &buffers, F f) {
    const Layer<T> &layer = *buffers.layer;
    for (T *Learned<T>::*part : {&Learned<T>::value, &Learned<T>::mean, &Learned<T>::square})
        if (buffers.weight.*part) f(layer.weight.*part, layer.bias.*part, buffers.weight.*part);
}

// f(torch's, ours): the time constants, then their moments.
template <class T, class F> void each_tau_part(const LayerBuffers<T> &buffers, F f) {
    for (T *Learned<T>::*part : {&Learned<T>::value, &Learned<T>::mean, &Learned<T>::square}) {
        if (buffers.layer->tau_m.*part) f(buffers.layer->tau_m.*part, buffers.tau_m.*part);
        if (buffers.layer->tau_r.*part) f(buffers.layer->tau_r.*part, buffers.tau_r.*part);
    }
}

// Copies all learned values of a member, and computes the leaks that follow from them.
template <class T> void take_parameters(const LayerBuffers<T> &buffers, int64_t member, const Run<T> &run) {
    const size_t n = buffers.neurons, i = buffers.inputs;
    each_weight_part(buffers, [&](T *weight, T *bias, T *rows) {
        to_rows(buffers, member_of(weight, member, n * i), member_of(bias, member, n), rows);
    });
    each_tau_part(buffers, [&](T *torch, T *ours) { std::copy_n(member_of(torch, member, n), n, ours); });
    set_leaks(buffers, run);
}

// Feedback weights, which lie as W does, or as those from the output.
template <class T> void take_back(const LayerBuffers<T> &buffers, int64_t member, const Run<T> &run) {
    if (!buffers.back) return;
    const size_t columns = run.broadcast ? run.layer[run.layers - 1].neurons : buffers.inputs;
    const T *from = member_of(buffers.layer->memory.back, member, columns * buffers.neurons);
    if (run.broadcast) std::copy_n(from, columns * buffers.neurons, buffers.back);
    else to_rows<T>(buffers, from, nullptr, buffers.back);
}

template <class T> void give_parameters(const LayerBuffers<T> &buffers, int64_t member) {
    const size_t n = buffers.neurons, i = buffers.inputs;
    each_weight_part(buffers, [&](T *weight, T *bias, T *rows) {
        from_rows(buffers, rows, member_of(weight, member, n * i), member_of(bias, member, n));
    });
    each_tau_part(buffers, [&](T *torch, T *ours) { std::copy_n(ours, n, member_of(torch, member, n)); });
}

// What the rule remembers. Of a delay line that is as long as the block's longest delay, a layer whose own delay is
// shorter reads the last steps alone; those before are given back as zeros.
template <class T> void Network<T>::take_memory(const LayerBuffers<T> &buffers) {
    const Remembered<T> &memory = buffers.layer->memory;
    const int longest = int(buffers.layer->longest), inputs = buffers.inputs, neurons = buffers.neurons;
    const int delay = int(buffers.layer->delay);
    const T age = memory.age ? memory.age[member_] : T(0);
    take_back(buffers, member_, run_);
    for (int step = -delay; step < 0 && memory.rates; ++step) {
        T *slot = buffers.presynaptic.at(step);
        to_turned(buffers, line(memory.rates, longest, step, inputs), slot);
        ones_turned(buffers, age >= T(-step) ? T(1) : T(0), slot);
    }
    for (int step = 1 - delay; step < 0 && memory.slopes; ++step)
        to_panels(space_, line(memory.slopes, longest - 1, step, neurons), neurons, buffers.slope.at(step), neurons);
    for (int step = -delay; step < 0 && memory.u_dots; ++step)
        to_panels(space_, line(memory.u_dots, longest, step, neurons), neurons, buffers.u_dot.at(step), neurons);
    for (int p = 0; p < buffers.populations.count() && memory.trace; ++p) {
        T *trace = trace_of(buffers, buffers.trace, p);
        to_turned(buffers, line(memory.trace, int(buffers.layer->populations), p, inputs), trace);
        if (memory.bias_trace)
            ones_turned(buffers, memory.bias_trace[member_ * neurons + buffers.populations.first[p]], trace);
    }
    if (!memory.instant_square) return;
    to_panels(space_, line(memory.instant_square, 1, 0, neurons), neurons, buffers.instant_square, neurons);
    to_panels(space_, line(memory.error_square, 1, 0, neurons), neurons, buffers.error_square, neurons);
}

template <class T> void Network<T>::give_memory(const LayerBuffers<T> &buffers) {
    const Remembered<T> &memory = buffers.layer->memory;
    const int longest = int(buffers.layer->longest), inputs = buffers.inputs, neurons = buffers.neurons;
    const int delay = int(buffers.layer->delay);
    const int64_t end = run_.steps;
    const auto give = [&](const T *ours, T *torch) {
        from_panels(space_, 0, space_.panels.count, ours, neurons, neurons, torch);
    };
    if (memory.age) memory.age[member_] += T(end);
    if (run_.follows && buffers.back) {
        const size_t n = buffers.neurons;
        from_rows<T>(buffers, buffers.back, member_of(memory.back, member_, n * inputs), nullptr);
    }
    const auto forget = [&](T *torch, int count, int unread, int rows) {
        if (torch && unread > 0) std::fill_n(line(torch, count, 0, rows), size_t(unread) * space_.batch * rows, T(0));
    };
    forget(memory.rates, longest, longest - delay, inputs);
    forget(memory.slopes, longest - 1, longest - delay, neurons);
    forget(memory.u_dots, longest, longest - delay, neurons);
    for (int step = -delay; step < 0 && memory.rates; ++step)
        from_turned(buffers, buffers.presynaptic.at(end + step), line(memory.rates, longest, step, inputs));
    for (int step = 1 - delay; step < 0 && memory.slopes; ++step)
        give(buffers.slope.at(end + step), line(memory.slopes, longest - 1, step, neurons));
    for (int step = -delay; step < 0 && memory.u_dots; ++step)
        give(buffers.u_dot.at(end + step), line(memory.u_dots, longest, step, neurons));
    give_traces(buffers);
    if (!memory.instant_square) return;
    give(buffers.instant_square, line(memory.instant_square, 1, 0, neurons));
    give(buffers.error_square, line(memory.error_square, 1, 0, neurons));
}

// Where a block has more populations than this layer, the further traces are those of its first neuron.
template <class T> void Network<T>::give_traces(const LayerBuffers<T> &buffers) {
    const Remembered<T> &memory = buffers.layer->memory;
    const Populations &populations = buffers.populations;
    const int most = int(buffers.layer->populations);
    for (int p = 0; p < most && memory.trace; ++p) {
        const T *trace = trace_of(buffers, buffers.trace, p < populations.count() ? p : 0);
        from_turned(buffers, trace, line(memory.trace, most, p, buffers.inputs));
    }
    for (const RowTile &tile : populations.tiles)
        for (int r = 0; r < tile.rows && memory.bias_trace; ++r) {
            const size_t at = turned_at(space_, buffers, 0, buffers.inputs);
            memory.bias_trace[member_ * buffers.neurons + populations.order[tile.begin + r]] =
                trace_of(buffers, buffers.trace, tile.population)[at];
        }
}

// The member's part (B, rows) of torch's array (S, count, B, rows): number `at`, from the end where it is negative.
template <class T> T *Network<T>::line(T *torch, int count, int at, int rows) const {
    return torch + (size_t(member_) * count + (at < 0 ? count + at : at)) * space_.batch * rows;
}

// (B, inputs) of torch to turned rates, zero where nothing is; and back.
template <class T> void Network<T>::to_turned(const LayerBuffers<T> &buffers, const T *from, T *to) const {
    std::fill_n(to, buffers.stride * space_.width(), T(0));
    for (int i = 0; i < buffers.inputs; ++i) {
        const size_t at = turned_at(space_, buffers, 0, i), next = turned_at(space_, buffers, 1, i) - at;
        for (int b = 0; b < space_.batch; ++b) to[at + b * next] = from[size_t(b) * buffers.inputs + i];
    }
}

template <class T> void Network<T>::from_turned(const LayerBuffers<T> &buffers, const T *from, T *to) const {
    for (int i = 0; i < buffers.inputs; ++i) {
        const size_t at = turned_at(space_, buffers, 0, i), next = turned_at(space_, buffers, 1, i) - at;
        for (int b = 0; b < space_.batch; ++b) to[size_t(b) * buffers.inputs + i] = from[at + b * next];
    }
}

// What stands for the bias's input of 1.
template <class T> void Network<T>::ones_turned(const LayerBuffers<T> &buffers, T one, T *to) const {
    for (int b = 0; b < space_.batch; ++b) to[turned_at(space_, buffers, b, buffers.inputs)] = one;
}

template <class T> void Network<T>::enter() {
    for (LayerBuffers<T> &buffers : space_.layers) {
        const size_t n = buffers.neurons;
        take_parameters(buffers, member_, run_);
        each_variable(buffers, 0, [&](T *torch, T *ours, int stride) {
            to_panels(space_, member_of(torch, member_, space_.batch * n), buffers.neurons, ours, stride);
        });
        set_ones(space_, buffers.r, buffers.neurons);
        take_memory(buffers);
    }
    set_ones(space_, space_.inputs, space_.layers.front().inputs);
    if (run_.mask.data == nullptr) // samples that are not there stay at zero
        for (int p = 0; p < space_.panels.count; ++p)
            each_sample(space_, p, 1, [&](int, size_t at) { space_.mask[at] = T(1); });
    if (run_.errors && !run_.broadcast) first_errors();
}

// Errors of step 0 of all layers but the output, from W^T e of the batch before.
template <class T> void Network<T>::first_errors() {
    for (size_t k = 0; k + 1 < space_.layers.size(); ++k) {
        const LayerBuffers<T> &buffers = space_.layers[k];
        if (!buffers.layer->has_errors) continue;
        const T *above = space_.layers[k + 1].layer->feedback;
        to_panels(space_, member_of(above, member_, space_.batch * size_t(buffers.neurons)), buffers.neurons,
                  space_.feedback[0], space_.widest);
        for (int p = 0; p < space_.panels.count; ++p) {
            const Place all = place(p, buffers.neurons, 0, buffers.neurons);
            error_rows(buffers, run_, all, space_.feedback_of(0, p), 0);
        }
    }
}

// W^T e of the last step, this thread's panels.
template <class T> void Network<T>::keep_feedback(const LayerBuffers<T> &layer, int k) {
    const size_t rows = layer.inputs;
    from_panels(space_, first_, last_, space_.feedback[k & 1], space_.widest, layer.inputs,
                member_of(layer.layer->feedback, member_, space_.batch * rows));
}

template <class T> void Network<T>::leave() {
    for (LayerBuffers<T> &buffers : space_.layers) {
        const size_t n = buffers.neurons;
        each_variable(buffers, run_.steps, [&](T *torch, T *ours, int stride) {
            from_panels(space_, 0, space_.panels.count, ours, stride, buffers.neurons,
                        member_of(torch, member_, space_.batch * n));
        });
        if (run_.learns && !run_.every) give_parameters(buffers, member_);
        give_memory(buffers);
    }
}

} // namespace glebench
