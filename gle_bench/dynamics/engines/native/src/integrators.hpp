// The neurons of an ordered network at one stage of a step: gle_bench/dynamics/ordered_step.py on vectors of neurons.
#pragma once

#include "neurons.hpp"
#include "ordered_workspace.hpp"

namespace glebench {

// The stages of a step: one for 'exponential', four for 'rk4' (at t, twice at t + dt/2, and at t + dt).
enum class Stage { only, first, second, third, last };

constexpr bool at_start(Stage stage) { return stage == Stage::only || stage == Stage::first; }

template <Stage S, class T> const T *at_stage(const Integrated<T> &x) { return at_start(S) ? x.now : x.stage; }
template <Stage S, class T> const Found<T> &found(const OrderedLayer<T> &layer) {
    return at_start(S) ? layer.first : layer.later;
}

// x, which the stage saw as `before`, on its way to t + dt. `step`: 1 - exp(-dt/tau), or of RK4 dt/tau.
template <Stage S, class T>
inline void advance(const Integrated<T> &x, size_t k, Vector<T> before, Vector<T> drive, Vector<T> step) {
    if constexpr (S == Stage::only) {
        store(x.now + k, towards<T>(before, drive, step));
    } else {
        const Vector<T> change = (drive - before) * step, now = load(x.now + k);
        if constexpr (S == Stage::last) {
            store(x.now + k, load(x.end + k) + change * T(1.0 / 6));
        } else {
            store(x.end + k, S == Stage::first ? now + change * T(1.0 / 6) : load(x.end + k) + change * T(1.0 / 3));
            store(x.stage + k, now + change * T(S == Stage::third ? 1 : 0.5));
        }
    }
}

// The first `count` lanes of x.
template <class T> inline void store_first(T *to, Vector<T> x, int count) {
    Vector<T> number;
    for (int lane = 0; lane < LANES<T>; ++lane) number[lane] = T(lane);
    store(to, number < all(T(count)) ? x : load(to));
}

// Currents, rates and slopes of all samples; u goes on.
template <Phi PHI, Stage S, class T> void membranes(const OrderedLayer<T> &layer, const T *below, int batch) {
    constexpr int V = LANES<T>;
    const Integrated<T> &u = layer.membrane_u;
    const Found<T> &out = found<S>(layer);
    for (int b = 0; b < batch; ++b)
        for (int n = 0; n < layer.neurons; n += V) {
            const size_t k = size_t(b) * layer.width + n;
            const Vector<T> before = load(at_stage<S>(u) + k);
            const Vector<T> drive =
                times(layer.weight.value + size_t(n) * layer.stride, layer.stride, below + size_t(b) * layer.stride);
            if (at_start(S) && layer.u_dot)
                store(layer.u_dot.first + k, (drive - before) / load(layer.tau_m.value + n));
            const auto phi = activate<PHI, T>(towards<T>(before, drive, load(layer.membrane.ahead + n)));
            advance<S>(u, k, before, drive, load(layer.membrane.step + n));
            store_first(out.r + k, phi.rate, layer.neurons - n); // the bias's input and the zeros after it stay
            store(out.slope + k, phi.slope);
        }
}

// Errors of all samples from what comes from above; v goes on.
template <Stage S, class T> void errors(const OrderedLayer<T> &layer, const T *above, int batch) {
    const Integrated<T> &v = layer.error_v;
    const Found<T> &out = found<S>(layer);
    for (int b = 0; b < batch; ++b)
        for (int n = 0; n < layer.neurons; n += LANES<T>) {
            const size_t k = size_t(b) * layer.width + n;
            const Vector<T> instant = load(out.slope + k) * load(above + k);
            if (at_start(S) && layer.instant) store(layer.instant + k, instant);
            if (layer.layer->sent == PROSPECTIVE) {
                const Vector<T> before = load(at_stage<S>(v) + k);
                store(out.e + k, towards<T>(before, instant, load(layer.error.ahead + n)));
                advance<S>(v, k, before, instant, load(layer.error.step + n));
            } else {
                store(out.e + k, instant);
                if (at_start(S)) store(v.now + k, instant);
            }
        }
}

// The softmax of one sample.
template <class T> void softmax_of(const T *rates, T *to, int neurons) {
    const T top = *std::max_element(rates, rates + neurons);
    T sum = 0;
    for (int n = 0; n < neurons; ++n) sum += to[n] = std::exp(rates[n] - top);
    for (int n = 0; n < neurons; ++n) to[n] /= sum;
}

} // namespace glebench
