// Adam and plain gradient descent, with the formulas of gle_bench/dynamics/optimizers.py, on contiguous parameters.
#pragma once

#include <algorithm>
#include <cmath>

#include "run.hpp"

namespace glebench {

// The update of one time step, with the factors of the optimizer's formula that are the same for all parameters.
template <class T> struct Update {
    bool adam;
    T keep_mean, keep_square; // 1 - beta1, 1 - beta2: the weight of what is new
    T root;                   // 1 / sqrt(1 - beta2^n)
    T rate;                   // with Adam's 1 / (1 - beta1^n)
    T eps;
    bool follows; // whether feedback weights follow W, and then both are multiplied by `kept`
    T kept;

    Update(const Run<T> &run, double member_rate, int64_t step)
        : adam(run.adam), keep_mean(T(1 - run.beta1)), keep_square(T(1 - run.beta2)), eps(T(run.eps)),
          follows(run.follows) {
        const double n = double(run.updates + step + 1);
        const double decayed = member_rate * std::pow(run.decay, double(step));
        root = T(1 / std::sqrt(1 - std::pow(run.beta2, n)));
        kept = T(1 - run.feedback_decay * decayed);
        rate = T(adam ? decayed / (1 - std::pow(run.beta1, n)) : decayed);
    }

    // Updates `count` parameters; their gradient is `factor` times the given values.
    void apply(const Learned<T> &p, const T *gradient, T factor, size_t count) const {
        T *__restrict value = p.value, *__restrict mean = p.mean, *__restrict square = p.square;
        const T *__restrict g = gradient;
        if (!adam) {
            for (size_t i = 0; i < count; ++i) value[i] -= rate * (factor * g[i]);
            return;
        }
        const T a = keep_mean, b = keep_square, c = root, d = eps, r = rate;
        for (size_t i = 0; i < count; ++i) {
            const T x = factor * g[i], m = mean[i] + a * (x - mean[i]);
            const T s = square[i] * (1 - b) + b * (x * x);
            mean[i] = m;
            square[i] = s;
            value[i] -= r * m / (std::sqrt(s) * c + d);
        }
    }
};

// Clamps learned time constants to their range.
template <class T> inline void clamp(T *taus, int count, const Run<T> &run) {
    for (int n = 0; n < count; ++n) taus[n] = std::min(std::max(taus[n], T(run.tau_lowest)), T(run.tau_highest));
}

} // namespace glebench
