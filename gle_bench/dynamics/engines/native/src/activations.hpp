// The activation functions and slopes of gle_bench/dynamics/activations.py, and softmax.
#pragma once

#include <cmath>
#include <type_traits>

#include "vectors.hpp"

namespace glebench {

enum class Phi : int32_t { identity, tanh, softplus, relu, hard_sigmoid };

template <class T, class F> inline Vector<T> by_lane(Vector<T> x, F f) {
    for (int lane = 0; lane < LANES<T>; ++lane) x[lane] = f(x[lane]);
    return x;
}

// x clamped to +-top; NaN stays NaN. Intrinsics are used because compilers make slower code of a comparison.
inline Vector<float> limited(Vector<float> x, float highest) {
    const Vector<float> top = all(highest);
#if defined(__AVX__)
    typedef float Floats __attribute__((vector_size(VECTOR_BYTES)));
    return __builtin_ia32_maxps256(Floats(-top), __builtin_ia32_minps256(Floats(top), Floats(x)));
#else
    x = x > top ? top : x;
    return x < -top ? -top : x;
#endif
}

// 2^x, for |x| beyond 126 as at 126. Relative error about 2e-7 at |x| < 3 and 1e-6 at 20, where the sums that it goes
// into (softmax) no longer feel it. Taylor series of 2^f on |f| <= 1/2.
inline Vector<float> exp2(Vector<float> x) {
    typedef uint32_t Bits __attribute__((vector_size(VECTOR_BYTES), may_alias));
    x = limited(x, 126);
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the lowest bits; 127 more make it a float's exponent.
    const Vector<float> magic = all(12582912.0f + 127.0f), shifted = x + magic;
    const Vector<float> f = x - (shifted - magic);
    Vector<float> p = all(1.5403530e-4f);
    p = p * f + 1.3333558e-3f;
    p = p * f + 9.6181291e-3f;
    p = p * f + 5.5504109e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314718e-1f;
    p = p * f + 1.0f;
    const Bits power = reinterpret_cast<const Bits &>(shifted) << 23;
    return p * reinterpret_cast<const Vector<float> &>(power);
}

constexpr double LOG2_E = 1.4426950408889634;

// exp(factor x).
inline Vector<float> exp(Vector<float> x, float factor) { return exp2(x * float(factor * LOG2_E)); }
inline Vector<double> exp(Vector<double> x, double factor) {
    return by_lane<double>(x * factor, [](double y) { return std::exp(y); });
}

// x P(x^2) / Q(x^2), |x| beyond 7.75 as at 7.75. Lawson's iteration (least squares, weighted anew by what is left) found
// the polynomials of degree 4 with about the least relative error, 5e-9; rounding makes 3.5e-7 of it. At 7.75 tanh is
// 4e-7 short of 1, and no rounding takes the fraction beyond 1.
inline Vector<float> tanh(Vector<float> x) {
    x = limited(x, 7.75f);
    const Vector<float> y = x * x;
    Vector<float> p = all(1.57289722e-8f), q = all(8.71434943e-7f);
    p = p * y + 2.2216963e-5f, q = q * y + 3.44220379e-4f;
    p = p * y + 3.59006732e-3f, q = q * y + 2.62338211e-2f;
    p = p * y + 1.34597761e-1f, q = q * y + 4.6793105e-1f;
    p = p * y + 1.0f, q = q * y + 1.0f;
    return x * p / q;
}
inline Vector<double> tanh(Vector<double> x) {
    return by_lane<double>(x, [](double y) { return std::tanh(y); });
}

template <class T> struct RateAndSlope {
    Vector<T> rate, slope;
};

// phi(x) and phi'(x).
template <Phi PHI, class T> inline RateAndSlope<T> activate(Vector<T> x) {
    const Vector<T> zero = {}, one = all(T(1));
    if constexpr (PHI == Phi::identity) {
        return {x, one};
    } else if constexpr (PHI == Phi::tanh) {
        const Vector<T> r = tanh(x);
        return {r, 1 - r * r};
    } else if constexpr (PHI == Phi::relu) {
        return {x < zero ? zero : x, x > zero ? one : zero};
    } else if constexpr (PHI == Phi::hard_sigmoid) {
        const Vector<T> below = x < zero ? zero : x;
        return {below > one ? one : below, (x >= zero) & (x <= one) ? one : zero};
    } else {
        // As torch: linear above 20, where both are the same number.
        return {by_lane<T>(x, [](T y) { return y > 20 ? y : std::log1p(std::exp(y)); }),
                by_lane<T>(x, [](T y) { return 1 / (1 + std::exp(-y)); })};
    }
}

// Calls f with the activation as a compile-time constant.
template <class F> inline void with_phi(Phi phi, F f) {
    switch (phi) {
    case Phi::identity: return f(std::integral_constant<Phi, Phi::identity>{});
    case Phi::tanh: return f(std::integral_constant<Phi, Phi::tanh>{});
    case Phi::softplus: return f(std::integral_constant<Phi, Phi::softplus>{});
    case Phi::relu: return f(std::integral_constant<Phi, Phi::relu>{});
    case Phi::hard_sigmoid: return f(std::integral_constant<Phi, Phi::hard_sigmoid>{});
    }
}

// Softmax over `neurons` rows of `lanes` batch members, (neurons, lanes), into `to`.
template <class T> inline void softmax(const T *rates, T *to, int neurons, int lanes) {
    for (int lane = 0; lane < lanes; lane += LANES<T>) {
        Vector<T> top = load(rates + lane), sum = {};
        for (int n = 1; n < neurons; ++n) {
            const Vector<T> x = load(rates + n * lanes + lane);
            top = x > top ? x : top;
        }
        for (int n = 0; n < neurons; ++n) {
            const Vector<T> y = exp(load(rates + n * lanes + lane) - top, T(1));
            store(to + n * lanes + lane, y);
            sum += y;
        }
        for (int n = 0; n < neurons; ++n) store(to + n * lanes + lane, load(to + n * lanes + lane) / sum);
    }
}

} // namespace glebench
