// The arguments that Python passes; gle_bench/dynamics/engines/native/call.py declares the same structures for ctypes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glebench {

// One tensor of S members, contiguous within a member; null if there is none.
template <class T> struct Learned {
    T *value, *mean, *square; // the parameter and Adam's moments, which are null where nothing learns

    // The part that begins at element `at`.
    Learned from(size_t at) const {
        return {value + at, mean ? mean + at : nullptr, square ? square + at : nullptr};
    }
};

// Layer k of all networks: `value` points to the first member's, the next member's follows after `stride` elements.
template <class T> struct Layer {
    Learned<T> weight, bias, tau_m, tau_r; // (N, N_in), (N), (N), (N)
    T *u, *v, *r, *e, *slope;              // (B, N)
    T *feedback;                           // (B, N_in)  W^T e
    int64_t inputs, neurons;
    int64_t phi; // Phi
    double gamma;
    int64_t has_errors, feeds_back, plastic, prospective_errors;
};

// A tensor (S, B, T, C) with its strides in elements, contiguous in C; 0 where it is the same for all.
template <class T> struct Signal {
    T *data;
    int64_t network, sample, step;

    T *at(int64_t s, int64_t b, int64_t t) const { return data + s * network + b * sample + t * step; }
};

enum Integrator : int64_t { EULER, EXPONENTIAL, RK4 };

template <class T> struct Run {
    const Layer<T> *layer;
    Signal<T> inputs, target, mask, outputs; // target, mask: data null where there is none
    const double *rates;                     // (S,)
    const int64_t *delays;                   // (N_in), of a closed loop; null where it is open
    int64_t layers, networks, batch, steps, threads;
    int64_t known;               // steps of inputs and target: one more than `steps` where the next instant is known
    int64_t integrator;          // Integrator
    int64_t horizon, forced;     // of a closed loop, see gle_bench/dynamics/feedback.py
    double dt, beta, decay;
    double tau_lowest, tau_highest;
    double beta1, beta2, eps;
    int64_t updates;               // made before this batch
    int64_t cross_entropy, adam;   // or mse, sgd
    int64_t learns, errors;        // whether parameters are updated; whether errors go on
    int64_t learn_tau_m, learn_tau_r;
    int64_t buffer_bytes;          // out: what the engine allocated

    // In a closed loop: what was predicted of channel c of the input of step t; null where the true input counts.
    const T *fed_back(int64_t s, int64_t b, int64_t t, int64_t c) const {
        const int64_t signal = t - delays[c];
        return signal < forced ? nullptr : outputs.at(s, b, signal - horizon);
    }
};

} // namespace glebench
