// A member's parameters, moments and state from torch's memory into the workspace, and back.
#pragma once

#include "network.hpp"

namespace glebench {

template <class T> T *member_of(T *first, int64_t member, size_t size) {
    return first ? first + member * size : nullptr;
}

// f(torch's, ours, rows in ours): each variable of the state but W^T e, which is not kept from step to step.
template <class T, class F> void each_variable(const Space<T> &space, F f) {
    const Layer<T> &layer = *space.layer;
    f(layer.u, space.u, space.neurons);
    f(layer.v, space.v, space.neurons);
    f(layer.r, space.r, padded<T>(space.neurons));
    f(layer.e, space.e, space.neurons);
    f(layer.slope, space.slope, space.neurons);
}

// f(torch's weight, torch's bias, rows): the values, then each moment.
template <class T, class F> void each_weight_part(const Space<T> &space, F f) {
    const Layer<T> &layer = *space.layer;
    for (T *Learned<T>::*part : {&Learned<T>::value, &Learned<T>::mean, &Learned<T>::square})
        if (space.weight.*part) f(layer.weight.*part, layer.bias.*part, space.weight.*part);
}

// f(torch's, ours): the time constants, then their moments.
template <class T, class F> void each_tau_part(const Space<T> &space, F f) {
    for (T *Learned<T>::*part : {&Learned<T>::value, &Learned<T>::mean, &Learned<T>::square}) {
        if (space.layer->tau_m.*part) f(space.layer->tau_m.*part, space.tau_m.*part);
        if (space.layer->tau_r.*part) f(space.layer->tau_r.*part, space.tau_r.*part);
    }
}

// All that is learned of a member, and the leaks that follow from it.
template <class T> void take_parameters(const Space<T> &space, int64_t member, const Run<T> &run) {
    const size_t n = space.neurons, i = space.inputs;
    each_weight_part(space, [&](T *weight, T *bias, T *rows) {
        to_rows(space, member_of(weight, member, n * i), member_of(bias, member, n), rows);
    });
    each_tau_part(space, [&](T *torch, T *ours) { std::copy_n(member_of(torch, member, n), n, ours); });
    set_leaks(space, run);
}

template <class T> void give_parameters(const Space<T> &space, int64_t member) {
    const size_t n = space.neurons, i = space.inputs;
    each_weight_part(space, [&](T *weight, T *bias, T *rows) {
        from_rows(space, rows, member_of(weight, member, n * i), member_of(bias, member, n));
    });
    each_tau_part(space, [&](T *torch, T *ours) { std::copy_n(ours, n, member_of(torch, member, n)); });
}

template <class T> void Network<T>::enter() {
    for (Space<T> &space : space_.layers) {
        const size_t n = space.neurons;
        take_parameters(space, member_, run_);
        each_variable(space, [&](T *torch, T *ours, int stride) {
            to_panels(space_, member_of(torch, member_, space_.batch * n), space.neurons, ours, stride);
        });
        set_ones(space_, space.r, space.neurons);
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
        const Space<T> &space = space_.layers[k];
        if (!space.layer->has_errors) continue;
        const T *above = space_.layers[k + 1].layer->feedback;
        to_panels(space_, member_of(above, member_, space_.batch * size_t(space.neurons)), space.neurons,
                  space_.feedback[0], space_.widest);
        for (int p = 0; p < space_.panels.count; ++p) {
            const Place all = place(p, space.neurons, 0, space.neurons);
            error_rows(space, all, space_.feedback_of(0, p));
        }
    }
}

// W^T e of the last step, this thread's panels.
template <class T> void Network<T>::keep_feedback(const Space<T> &layer, int k) {
    const size_t rows = layer.inputs;
    from_panels(space_, first_, last_, space_.feedback[k & 1], space_.widest, layer.inputs,
                member_of(layer.layer->feedback, member_, space_.batch * rows));
}

template <class T> void Network<T>::leave() {
    for (Space<T> &space : space_.layers) {
        const size_t n = space.neurons;
        each_variable(space, [&](T *torch, T *ours, int stride) {
            from_panels(space_, 0, space_.panels.count, ours, stride, space.neurons,
                        member_of(torch, member_, space_.batch * n));
        });
        if (run_.learns) give_parameters(space, member_);
    }
}

} // namespace glebench
