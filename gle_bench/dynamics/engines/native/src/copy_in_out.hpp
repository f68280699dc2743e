// Copies a member's parameters, moments and state from torch's memory into the workspace, and back.
#pragma once

#include "network.hpp"

namespace glebench {

template <class T> T *member_of(T *first, int64_t member, size_t size) {
    return first ? first + member * size : nullptr;
}

// f(torch's, ours, rows in ours): each variable of the state but W^T e, which is not kept from step to step.
template <class T, class F> void each_variable(const LayerBuffers<T> &buffers, F f) {
    const Layer<T> &layer = *buffers.layer;
    f(layer.u, buffers.u, buffers.neurons);
    f(layer.v, buffers.v, buffers.neurons);
    f(layer.r, buffers.r, padded<T>(buffers.neurons));
    f(layer.e, buffers.e, buffers.neurons);
    f(layer.slope, buffers.slope, buffers.neurons);
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

template <class T> void give_parameters(const LayerBuffers<T> &buffers, int64_t member) {
    const size_t n = buffers.neurons, i = buffers.inputs;
    each_weight_part(buffers, [&](T *weight, T *bias, T *rows) {
        from_rows(buffers, rows, member_of(weight, member, n * i), member_of(bias, member, n));
    });
    each_tau_part(buffers, [&](T *torch, T *ours) { std::copy_n(ours, n, member_of(torch, member, n)); });
}

template <class T> void Network<T>::enter() {
    for (LayerBuffers<T> &buffers : space_.layers) {
        const size_t n = buffers.neurons;
        take_parameters(buffers, member_, run_);
        each_variable(buffers, [&](T *torch, T *ours, int stride) {
            to_panels(space_, member_of(torch, member_, space_.batch * n), buffers.neurons, ours, stride);
        });
        set_ones(space_, buffers.r, buffers.neurons);
    }
    set_ones(space_, space_.inputs, space_.layers.front().inputs);
    if (run_.mask.data == nullptr) // samples that are not there stay at zero
        for (int p = 0; p < space_.panels.count; ++p)
            each_sample(space_, p, 1, [&](int, size_t at) { space_.mask[at] = T(1); });
    if (run_.errors) first_errors();
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
            error_rows(buffers, all, space_.feedback_of(0, p));
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
        each_variable(buffers, [&](T *torch, T *ours, int stride) {
            from_panels(space_, 0, space_.panels.count, ours, stride, buffers.neurons,
                        member_of(torch, member_, space_.batch * n));
        });
        if (run_.learns) give_parameters(buffers, member_);
    }
}

} // namespace glebench
