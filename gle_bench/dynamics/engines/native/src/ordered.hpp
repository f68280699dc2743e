// An ordered network through a whole batch with all its time steps: in each stage of a step rates go upwards and errors
// downwards, without delays between layers (gle_bench/dynamics/ordered_step.py). By one thread.
#pragma once

#include "copy_in_out.hpp"
#include "integrators.hpp"
#include "learning.hpp"

namespace glebench {

template <class T> class Ordered {
  public:
    using Memory = OrderedWorkspace<T>;

    Ordered(const Run<T> &run, Memory &space, int64_t member)
        : run_(run), space_(space), member_(member), batch_(space.batch) {}

    void run() {
        enter();
        for (int64_t step = 0; step < run_.steps; ++step) {
            take_in(space_.now, step);
            take_mask(step);
            if (run_.integrator == RK4) {
                traverse<Stage::first>(space_.now, step);
                look_ahead(step);
                traverse<Stage::second>(space_.middle, step);
                traverse<Stage::third>(space_.middle, step);
                traverse<Stage::last>(space_.following, step);
            } else {
                traverse<Stage::only>(space_.now, step);
            }
            if (run_.learns) learn(step);
        }
        leave();
    }

  private:
    const Run<T> &run_;
    Memory &space_;
    const int64_t member_;
    const int batch_;

    int stride() const { return space_.layers.front().stride; }
    OrderedLayer<T> &top() const { return space_.layers.back(); }

    // Inputs and targets of step `step`.
    void take_in(const Instant<T> &to, int64_t step) {
        const int inputs = space_.layers.front().inputs;
        for (int b = 0; b < batch_; ++b) {
            T *input = to.inputs + size_t(b) * stride();
            std::copy_n(run_.inputs.at(member_, b, step), inputs, input);
            for (int c = 0; run_.delays && c < inputs; ++c)
                if (const T *known = run_.fed_back(member_, b, step, c)) input[c] = *known;
            if (run_.target.data)
                std::copy_n(run_.target.at(member_, b, step), top().neurons, to.target + size_t(b) * top().width);
        }
    }

    void take_mask(int64_t step) {
        for (int b = 0; b < batch_; ++b) space_.mask[b] = run_.mask.data ? *run_.mask.at(member_, b, step) : T(1);
    }

    // The instant after this one, which is held after the last that is known, and the mean of both.
    void look_ahead(int64_t step) {
        take_in(space_.following, step + 1 < run_.known ? step + 1 : step);
        const auto mean = [](const T *a, const T *b, T *to, size_t count) {
            for (size_t i = 0; i < count; ++i) to[i] = (a[i] + b[i]) / 2;
        };
        const Instant<T> &now = space_.now, &following = space_.following, &middle = space_.middle;
        mean(now.inputs, following.inputs, middle.inputs, size_t(batch_) * stride());
        mean(now.target, following.target, middle.target, size_t(batch_) * top().width);
    }

    template <Stage S> void traverse(const Instant<T> &at, int64_t step) {
        const T *below = at.inputs;
        for (OrderedLayer<T> &layer : space_.layers) {
            with_phi(Phi(layer.layer->phi), [&](auto phi) { membranes<phi, S>(layer, below, batch_); });
            below = found<S>(layer).r;
        }
        for (int b = 0; b < batch_ && at_start(S); ++b)
            std::copy_n(below + size_t(b) * top().width, top().neurons, run_.outputs.at(member_, b, step));
        if (!run_.errors) return;
        nudge(below, at.target);
        for (int k = int(space_.layers.size()) - 1; k >= 0; --k) {
            OrderedLayer<T> &layer = space_.layers[k];
            if (!layer.layer->has_errors) return;
            errors<S>(layer, space_.above, batch_);
            if (!layer.layer->feeds_back) return;
            feed_back(layer, found<S>(layer).e);
            if (at_start(S) && step == run_.steps - 1) keep_feedback(layer);
        }
    }

    // beta (r_trg - prediction), where the mask is 1, into `above`.
    void nudge(const T *rates, const T *target) {
        const int neurons = top().neurons;
        for (int b = 0; b < batch_; ++b) {
            const size_t at = size_t(b) * top().width;
            T *above = space_.above + at;
            if (run_.target.data == nullptr) {
                std::fill_n(above, neurons, T(0));
                continue;
            }
            if (run_.cross_entropy) softmax_of(rates + at, above, neurons);
            else std::copy_n(rates + at, neurons, above);
            for (int n = 0; n < neurons; ++n) above[n] = (target[at + n] - above[n]) * T(run_.beta) * space_.mask[b];
        }
    }

    // W^T e, or B e, into `above`.
    void feed_back(const OrderedLayer<T> &layer, const T *e) {
        const T *weights = layer.back ? layer.back : layer.weight.value;
        const Partition spans(layer.stride / LANES<T>, SPAN);
        for (int b = 0; b < batch_; ++b)
            for (int span = 0; span < spans.count; ++span) {
                const size_t begin = size_t(spans.begin(span)) * LANES<T>;
                with_span(spans.length(span), [&](auto c) {
                    transposed_times<T, c>(weights + begin, layer.stride, e + size_t(b) * layer.width, layer.neurons,
                                           space_.above + size_t(b) * layer.stride + begin);
                });
            }
    }

    // Eqs. 21-24, from the values at t.
    void learn(int64_t step) {
        const Update<T> update(run_, run_.rates[member_], step);
        const T *below = space_.now.inputs;
        for (OrderedLayer<T> &layer : space_.layers) {
            if (layer.layer->plastic && layer.layer->has_errors) {
                for (const RowTile &tile : layer.populations.tiles) learn_rows(layer, below, tile, step, update);
                if (run_.learn_tau_m || run_.learn_tau_r) learn_taus(layer, step, update);
            }
            below = layer.first.r;
        }
    }

    void learn_rows(const OrderedLayer<T> &layer, const T *below, const RowTile &tile, int64_t step,
                    const Update<T> &update) {
        const int stride = layer.stride;
        for (int strip = 0; strip < layer.strips.count; ++strip)
            with_tile(tile.rows, layer.strips.length(strip), [&](auto r, auto c) {
                const size_t begin = size_t(layer.strips.begin(strip)) * LANES<T>;
                outer_tile<T, r, c>(layer.first.e + tile.begin, layer.width, below + begin, stride, batch_,
                                    space_.gradient + begin);
            });
        for (int r = 0; r < tile.rows && !layer.layer->bias.value; ++r) space_.gradient[r * stride + layer.inputs] = 0;
        const T factor = T(-1) / T(batch_);
        if (run_.every) return sum_rows(layer, tile, space_.gradient, factor, window_of_sums(step));
        update_rows(layer, tile, space_.gradient, static_cast<T *>(nullptr), factor, update);
    }

    // Sums (W, S, ...): the number of the member's part, in the window of `step`.
    int64_t window_of_sums(int64_t step) const { return step / run_.every * run_.networks + member_; }

    void learn_taus(const OrderedLayer<T> &layer, int64_t step, const Update<T> &update) {
        const T *u_dot = layer.u_dot.first;
        const auto learn_one = [&](const Learned<T> &tau, T *sums, const T *error, T factor) {
            T *gradient = space_.gradient;
            std::fill_n(gradient, layer.neurons, T(0));
            for (int b = 0; b < batch_; ++b)
                for (int n = 0; n < layer.neurons; ++n)
                    gradient[n] += error[size_t(b) * layer.width + n] * u_dot[size_t(b) * layer.width + n];
            for (int n = 0; n < layer.neurons && run_.every; ++n)
                sums[size_t(window_of_sums(step)) * layer.neurons + n] += factor / T(batch_) * gradient[n];
            if (run_.every) return;
            update.apply(tau, gradient, factor / T(batch_), layer.neurons);
            clamp(tau.value, layer.neurons, run_);
        };
        const Sums<T> &sums = layer.layer->sums;
        if (run_.learn_tau_m) learn_one(layer.tau_m, sums.tau_m, layer.first.e, T(1));
        if (run_.learn_tau_r) learn_one(layer.tau_r, sums.tau_r, layer.instant, T(-1));
        if (!run_.every) set_leaks(layer, run_);
    }

    void enter() {
        space_.arena.clear(); // of a NaN in the padding, say, that the network before has left
        for (OrderedLayer<T> &layer : space_.layers) {
            take_parameters(layer, member_, run_);
            take_back(layer, member_, run_);
            each_variable(layer, 0, [&](T *torch, T *ours, int) {
                const T *from = member_of(torch, member_, size_t(batch_) * layer.neurons);
                for (int b = 0; b < batch_; ++b)
                    std::copy_n(from + size_t(b) * layer.neurons, layer.neurons, ours + size_t(b) * layer.width);
            });
            for (T *rates : {layer.first.r, layer.later.r}) set_biases(rates, layer.neurons, layer.width);
        }
        for (const Instant<T> &instant : {space_.now, space_.following})
            set_biases(instant.inputs, space_.layers.front().inputs, stride());
    }

    // The bias's input of all samples.
    void set_biases(T *rates, int neurons, int width) {
        for (int b = 0; b < batch_ && rates; ++b) rates[size_t(b) * width + neurons] = T(1);
    }

    // W^T e of t.
    void keep_feedback(const OrderedLayer<T> &layer) {
        T *to = member_of(layer.layer->feedback, member_, size_t(batch_) * layer.inputs);
        for (int b = 0; b < batch_; ++b)
            std::copy_n(space_.above + size_t(b) * layer.stride, layer.inputs, to + size_t(b) * layer.inputs);
    }

    void leave() {
        for (OrderedLayer<T> &layer : space_.layers) {
            each_variable(layer, 0, [&](T *torch, T *ours, int) {
                T *to = member_of(torch, member_, size_t(batch_) * layer.neurons);
                for (int b = 0; b < batch_; ++b)
                    std::copy_n(ours + size_t(b) * layer.width, layer.neurons, to + size_t(b) * layer.neurons);
            });
            if (run_.learns && !run_.every) give_parameters(layer, member_);
        }
    }
};

} // namespace glebench
