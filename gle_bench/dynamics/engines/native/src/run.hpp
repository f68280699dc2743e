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

// The error that a layer sends down, from its instantaneous error: gle_bench/dynamics/choices.py.
enum Sent : int64_t { PROSPECTIVE, INSTANTANEOUS, JACOBIAN, GAIN, LOWPASS, CLIPPED };

// What the rule remembers of a layer (gle_bench/dynamics/local_memory.py); null where it needs none of it.
template <class T> struct Remembered {
    T *rates, *slopes, *u_dots;            // (D, B, N_in), (D - 1, B, N), (D, B, N)
    T *age;                                // (1)
    T *trace, *bias_trace;                 // (P, B, N_in), (N)
    T *instant_square, *error_square;      // (B, N)
    T *back;                               // (N, N_in), or (N, C) from the output
};

// Sums of gradients over windows of steps, (W, S, ...) each; null unless they are asked for.
template <class T> struct Sums {
    T *weight, *bias, *tau_m, *tau_r;
};

// Layer k of all networks: `value` points to the first member's, the next member's follows after `stride` elements.
template <class T> struct Layer {
    Learned<T> weight, bias, tau_m, tau_r; // (N, N_in), (N), (N), (N)
    T *u, *v, *r, *e, *slope;              // (B, N)
    T *feedback;                           // (B, N_in)  W^T e
    Remembered<T> memory;
    Sums<T> sums;
    int64_t inputs, neurons;
    int64_t phi; // Phi
    double gamma;
    int64_t has_errors, feeds_back, plastic, sent; // sent: Sent
    int64_t delay, longest; // D of the layer, and of the delay lines of its block; 0 where nothing waits
    int64_t populations;    // P, of its block
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
    const int64_t *population;               // of each neuron of each layer; null unless the rule has traces
    int64_t layers, networks, batch, steps, threads;
    int64_t known;               // steps of inputs and target: one more than `steps` where the next instant is known
    int64_t integrator;          // Integrator
    int64_t horizon, forced;     // of a closed loop, see gle_bench/dynamics/feedback.py
    double dt, beta, decay;
    double tau_lowest, tau_highest;
    double beta1, beta2, eps;
    double gain_weight, lowpass_weight, clip; // of a local rule; the weights are those of what is new
    double feedback_decay;                    // of feedback weights that follow W
    int64_t updates;               // made before this batch
    int64_t cross_entropy, adam;   // or mse, sgd
    int64_t learns, errors;        // whether parameters are updated; whether errors go on
    int64_t learn_tau_m, learn_tau_r;
    int64_t broadcast, follows;    // whether the output's error reaches all layers; whether feedback weights follow W
    int64_t window;                // of a rule with a tape: steps from update to update; 0 for the others
    int64_t every;                 // steps of a window of Sums; 0: parameters are updated
    int64_t buffer_bytes;          // out: what the engine allocated

    // In a closed loop: what was predicted of channel c of the input of step t; null where the true input counts.
    const T *fed_back(int64_t s, int64_t b, int64_t t, int64_t c) const {
        const int64_t signal = t - delays[c];
        return signal < forced ? nullptr : outputs.at(s, b, signal - horizon);
    }
};

} // namespace glebench
