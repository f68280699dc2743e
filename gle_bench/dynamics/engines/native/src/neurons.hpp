// One leaky step for a few rows of neurons of one panel: gle_bench/dynamics/neurons.py, Eqs. 44-49, on vectors.
#pragma once

#include "activations.hpp"
#include "workspace.hpp"

namespace glebench {

// Rows `first` to first + rows of a layer in a panel of `lanes` samples. They begin at `at`, and in an array of rates,
// which has one row more in every panel before, at `rates_at`.
struct Place {
    int first, rows, lanes;
    size_t at, rates_at;
};

// The point at `w`, one for all lanes or one each, on the line from x to its drive: exactly the drive at w = 1, as
// torch.lerp.
template <class T, class W> inline Vector<T> towards(Vector<T> x, Vector<T> drive, W w) {
    return x * (1 - w) + drive * w;
}

// u after dt, and r and phi' from the prospective potential. The current of `step` comes in `current` (rows, lanes).
template <Phi PHI, class T>
void membrane_rows(const LayerBuffers<T> &buffers, const Place &place, const T *current, int64_t step) {
    const T gamma = T(buffers.layer->gamma);
    T *u = buffers.u + place.at, *r = buffers.r + place.rates_at, *slope = buffers.slope.at(step + 1) + place.at;
    T *u_dot = buffers.u_dot ? buffers.u_dot.at(step) + place.at : nullptr;
    const T *e = buffers.e + place.at;
    for (int row = 0, k = 0; row < place.rows; ++row) {
        const T next = buffers.membrane.step[place.first + row], ahead = buffers.membrane.ahead[place.first + row];
        for (int end = k + place.lanes; k < end; k += LANES<T>) {
            Vector<T> drive = load(current + k);
            if (gamma != 0) drive += load(e + k) * gamma;
            const Vector<T> before = load(u + k);
            if (u_dot) store(u_dot + k, (drive - before) / buffers.tau_m.value[place.first + row]);
            const RateAndSlope<T> out = activate<PHI, T>(towards<T>(before, drive, ahead));
            store(u + k, towards<T>(before, drive, next));
            store(r + k, out.rate);
            store(slope + k, out.slope);
        }
    }
}

// What the errors of one row are made with.
template <class T> struct ErrorLeaks {
    T next, ahead; // of v
    T jacobian;    // tau_r / tau_m
};

// v after dt, and the error that is sent down, from the instantaneous error: gle_bench/dynamics/local.py. `k` counts
// from the array's beginning.
template <Sent S, class T>
inline void send(const LayerBuffers<T> &buffers, const Run<T> &run, const ErrorLeaks<T> &leaks, size_t k,
                 Vector<T> instant) {
    T *v = buffers.v + k, *e = buffers.e + k;
    if constexpr (S == INSTANTANEOUS || S == JACOBIAN) {
        const Vector<T> sent = S == JACOBIAN ? instant * leaks.jacobian : instant;
        store(e, sent);
        store(v, sent);
        return;
    }
    const Vector<T> before = load(v);
    Vector<T> error = towards<T>(before, instant, leaks.ahead);
    store(v, towards<T>(before, instant, leaks.next));
    if constexpr (S == GAIN) {
        T *instants = buffers.instant_square + k, *errors = buffers.error_square + k;
        const Vector<T> a = load(instants), b = load(errors), zero = {}, one = all(T(1));
        store(instants, towards<T>(a, instant * instant, T(run.gain_weight)));
        store(errors, towards<T>(b, error * error, T(run.gain_weight)));
        error *= b > zero ? a / (b > zero ? b : one) : one;
    } else if constexpr (S == LOWPASS) { // its state is the error of the step before
        error = towards<T>(load(e), error, T(run.lowpass_weight));
    } else if constexpr (S == CLIPPED) { // NaN stays
        const Vector<T> top = all(T(run.clip));
        error = error > top ? top : error;
        error = error < -top ? -top : error;
    }
    store(e, error);
}

// v and e of `step`, from what comes from above in `above` (rows, lanes): W^T e, or the nudging.
template <Sent S, class T>
void error_rows(const LayerBuffers<T> &buffers, const Run<T> &run, const Place &place, const T *above, int64_t step) {
    const T *slope = buffers.slope.at(step - buffers.late_slopes) + place.at;
    for (int row = 0, k = 0; row < place.rows; ++row) {
        const int n = place.first + row;
        const ErrorLeaks<T> leaks = {buffers.error.step[n], buffers.error.ahead[n], buffers.membrane.ahead[n]};
        T *instants = buffers.instant; // in another order
        if (instants) instants += place.at + (buffers.populations.place[n] - n) * ptrdiff_t(place.lanes);
        for (int end = k + place.lanes; k < end; k += LANES<T>) {
            const Vector<T> instant = load(slope + k) * load(above + k);
            if (instants) store(instants + k, instant);
            send<S>(buffers, run, leaks, place.at + k, instant);
        }
    }
}

template <class T>
void error_rows(const LayerBuffers<T> &buffers, const Run<T> &run, const Place &place, const T *above, int64_t step) {
    switch (Sent(buffers.layer->sent)) {
    case PROSPECTIVE: return error_rows<PROSPECTIVE>(buffers, run, place, above, step);
    case INSTANTANEOUS: return error_rows<INSTANTANEOUS>(buffers, run, place, above, step);
    case JACOBIAN: return error_rows<JACOBIAN>(buffers, run, place, above, step);
    case GAIN: return error_rows<GAIN>(buffers, run, place, above, step);
    case LOWPASS: return error_rows<LOWPASS>(buffers, run, place, above, step);
    case CLIPPED: return error_rows<CLIPPED>(buffers, run, place, above, step);
    }
}

// beta (r_trg - prediction), where the mask is 1: the nudging of a panel, (C, lanes), into `above`.
template <class T>
void nudging(const T *rates, const T *target, const T *mask, T beta, bool cross_entropy, int neurons, int lanes,
             T *above) {
    if (cross_entropy) softmax(rates, above, neurons, lanes);
    else std::copy(rates, rates + size_t(neurons) * lanes, above);
    for (int n = 0; n < neurons; ++n)
        for (int lane = 0; lane < lanes; lane += LANES<T>) {
            const int k = n * lanes + lane;
            store(above + k, (load(target + k) - load(above + k)) * beta * load(mask + lane));
        }
}

// The fractions dt/tau and ahead/tau of every neuron, computed again after each change of the time constants.
template <class T> void set_leaks(const LayerBuffers<T> &buffers, const Run<T> &run) {
    const T dt = T(run.dt);
    const auto step = [&](T tau) { return run.integrator == EXPONENTIAL ? -std::expm1(-dt / tau) : dt / tau; };
    for (int n = 0; n < buffers.neurons; ++n) {
        const T tau_m = buffers.tau_m.value[n], tau_r = buffers.tau_r.value[n];
        buffers.membrane.step[n] = step(tau_m);
        buffers.membrane.ahead[n] = tau_r / tau_m;
        buffers.error.step[n] = step(tau_r);
        buffers.error.ahead[n] = tau_m / tau_r;
    }
}

} // namespace glebench
