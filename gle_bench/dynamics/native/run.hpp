// What Python hands over: gle_bench/dynamics/engines/native.py declares the same structures for ctypes.
#pragma once

#include <cstdint>

namespace glebench {

// One tensor of S members, contiguous within a member; null where there is none.
template <class T> struct Learned {
    T *value, *mean, *square; // the parameter and Adam's moments, which are null where nothing learns
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

template <class T> struct Run {
    const Layer<T> *layer;
    Signal<T> inputs, target, mask, outputs; // target, mask: data null where there is none
    const double *rates;                     // (S,)
    int64_t layers, networks, batch, steps, threads;
    double dt, beta, decay;
    double tau_lowest, tau_highest;
    double beta1, beta2, eps;
    int64_t updates;               // made before this batch
    int64_t cross_entropy, adam;   // or mse, sgd
    int64_t learns, errors;        // whether parameters are updated; whether errors go on
    int64_t learn_tau_m, learn_tau_r;
    int64_t buffer_bytes;          // out: what the engine allocated
};

} // namespace glebench
