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

// u after dt, and r and phi' from the prospective potential. The current comes in `current` (rows, lanes).
template <Phi PHI, class T>
void membrane_rows(const LayerBuffers<T> &buffers, const Place &place, const T *current) {
    const T gamma = T(buffers.layer->gamma);
    T *u = buffers.u + place.at, *r = buffers.r + place.rates_at, *slope = buffers.slope + place.at;
    const T *e = buffers.e + place.at;
    for (int row = 0, k = 0; row < place.rows; ++row) {
        const T next = buffers.membrane.step[place.first + row], ahead = buffers.membrane.ahead[place.first + row];
        for (int end = k + place.lanes; k < end; k += LANES<T>) {
            Vector<T> drive = load(current + k);
            if (gamma != 0) drive += load(e + k) * gamma;
            const Vector<T> before = load(u + k);
            if (buffers.u_dot)
                store(buffers.u_dot + place.at + k, (drive - before) / buffers.tau_m.value[place.first + row]);
            const RateAndSlope<T> out = activate<PHI, T>(towards<T>(before, drive, ahead));
            store(u + k, towards<T>(before, drive, next));
            store(r + k, out.rate);
            store(slope + k, out.slope);
        }
    }
}

// v after dt, and e, from what comes from above in `above` (rows, lanes): W^T e, or the nudging.
template <class T> void error_rows(const LayerBuffers<T> &buffers, const Place &place, const T *above) {
    T *v = buffers.v + place.at, *e = buffers.e + place.at;
    const T *slope = buffers.slope + place.at;
    for (int row = 0, k = 0; row < place.rows; ++row) {
        const T next = buffers.error.step[place.first + row], ahead = buffers.error.ahead[place.first + row];
        for (int end = k + place.lanes; k < end; k += LANES<T>) {
            const Vector<T> instant = load(slope + k) * load(above + k), before = load(v + k);
            if (buffers.instant) store(buffers.instant + place.at + k, instant);
            const bool prospective = buffers.layer->prospective_errors;
            store(e + k, prospective ? towards<T>(before, instant, ahead) : instant);
            store(v + k, prospective ? towards<T>(before, instant, next) : instant);
        }
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
