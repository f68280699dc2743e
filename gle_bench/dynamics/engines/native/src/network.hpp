// Runs one network through all time steps of a batch, on one thread or on several that share the batch.
#pragma once

#include "neurons.hpp"
#include "optimizers.hpp"
#include "threads.hpp"

namespace glebench {

// A step goes from the top layer down, and finishes a layer before the next: W, r below and e are at hand for all three
// products, rates can switch in place, because the layer above has used them, and each array is fetched once a step.
template <class T> class Network {
  public:
    using Memory = Workspace<T>;

    // By one thread alone.
    Network(const Run<T> &run, Workspace<T> &space, int64_t member) : Network(run, space, nobody(), member, 0, 1) {}

    Network(const Run<T> &run, Workspace<T> &space, Barrier &barrier, int64_t member, int thread, int threads)
        : run_(run), space_(space), own_(space.scratch[thread]), barrier_(barrier), member_(member), thread_(thread),
          threads_(threads), first_(space.panels.count * thread / threads),
          last_(space.panels.count * (thread + 1) / threads) {}

    void run() {
        if (thread_ == 0) enter();
        barrier_.wait();
        for (int step = 0; step < run_.steps; ++step) {
            take_in(step);
            if (run_.errors) nudge();
            for (int k = int(space_.layers.size()) - 1; k >= 0; --k) switch_layer(k, step);
        }
        barrier_.wait();
        if (thread_ == 0) leave();
    }

  private:
    static Barrier &nobody() {
        static Barrier barrier(1);
        return barrier;
    }

    const Run<T> &run_;
    Workspace<T> &space_;
    Scratch<T> &own_;
    Barrier &barrier_;
    const int64_t member_;
    const int thread_, threads_, first_, last_; // the thread's panels

    Place place(int panel, int neurons, int row, int rows) const {
        const int lanes = space_.lanes(panel);
        const size_t at = space_.offset(panel, neurons) + size_t(row) * lanes;
        return {row, rows, lanes, at, space_.offset(panel, padded<T>(neurons)) + size_t(row) * lanes};
    }
    const T *below(int k) const { return k == 0 ? space_.inputs : space_.layers[k - 1].r; }

    // Layer k from step n to n + 1: first what needs e and W of step n, then e of step n + 1.
    void switch_layer(int k, int step) {
        LayerBuffers<T> &layer = space_.layers[k];
        const bool last = step == run_.steps - 1, heard = k > 0 && space_.layers[k - 1].layer->has_errors;
        if (run_.errors && (heard || (last && layer.layer->feeds_back))) feed_back(layer, k);
        forward(layer, below(k));
        if (run_.learns && layer.layer->plastic && layer.layer->has_errors) {
            turn(layer, below(k));
            barrier_.wait(); // each thread has its panels, and now needs those of all
            learn(layer, step);
            barrier_.wait();
        }
        if (last && run_.errors && layer.layer->feeds_back) keep_feedback(layer, k);
        if (last || !run_.errors || !layer.layer->has_errors || &layer == &space_.layers.back()) return;
        for (int p = first_; p < last_; ++p) {
            const Place all = place(p, layer.neurons, 0, layer.neurons);
            error_rows(layer, all, space_.feedback_of(k + 1, p));
        }
    }

    // The step's input, target and mask into panels, and its output out.
    void take_in(int step) {
        const LayerBuffers<T> &top = space_.layers.back();
        const int inputs = space_.layers.front().inputs;
        const auto is_new = [&](const Signal<T> &signal) { return signal.data && (step == 0 || signal.step); };
        for (int p = first_; p < last_; ++p) {
            if (is_new(run_.inputs)) gather(run_.inputs, p, inputs, padded<T>(inputs), step, space_.inputs);
            if (run_.delays) close_loop(p, inputs, step);
            if (is_new(run_.target)) gather(run_.target, p, top.neurons, top.neurons, step, space_.target);
            if (is_new(run_.mask)) gather(run_.mask, p, 1, 1, step, space_.mask);
            each_sample(space_, p, padded<T>(top.neurons), [&](int b, size_t at) {
                T *to = run_.outputs.at(member_, b, step);
                for (int n = 0; n < top.neurons; ++n) to[n] = top.r[at + size_t(n) * space_.lanes(p)];
            });
        }
    }

    // One step of a signal into the first `channels` of `rows` rows.
    void gather(const Signal<T> &signal, int panel, int channels, int rows, int step, T *to) {
        each_sample(space_, panel, rows, [&](int b, size_t at) {
            const T *from = signal.at(member_, b, step);
            for (int n = 0; n < channels; ++n) to[at + size_t(n) * space_.lanes(panel)] = from[n];
        });
    }

    // Writes the network's own predictions over the inputs that are unknown in closed loop.
    void close_loop(int panel, int inputs, int step) {
        each_sample(space_, panel, padded<T>(inputs), [&](int b, size_t at) {
            for (int n = 0; n < inputs; ++n)
                if (const T *known = run_.fed_back(member_, b, step, n))
                    space_.inputs[at + size_t(n) * space_.lanes(panel)] = *known;
        });
    }

    // The errors of the output layer.
    void nudge() {
        LayerBuffers<T> &top = space_.layers.back();
        for (int p = first_; p < last_ && top.layer->has_errors; ++p) {
            const Place all = place(p, top.neurons, 0, top.neurons);
            if (run_.target.data)
                nudging(top.r + all.rates_at, space_.target + all.at, space_.mask + space_.offset(p, 1), T(run_.beta),
                        run_.cross_entropy, top.neurons, all.lanes, own_.above);
            else std::fill(own_.above, own_.above + size_t(top.neurons) * all.lanes, T(0));
            error_rows(top, all, own_.above);
        }
    }

    // W r + b, and the neurons' step while the sums are still in registers.
    void forward(LayerBuffers<T> &layer, const T *below) {
        for (int p = first_; p < last_; ++p)
            for (int tile = 0; tile < layer.rows.count; ++tile) {
                const int row = layer.rows.begin(tile), rows = layer.rows.length(tile);
                const T *weights = layer.weight.value + size_t(row) * layer.stride;
                with_tile(rows, space_.panels.length(p), [&](auto r, auto c) {
                    forward_tile<T, r, c>(weights, layer.stride, below + space_.offset(p, layer.stride),
                                          layer.inputs + 1, own_.tile);
                });
                with_phi(Phi(layer.layer->phi), [&](auto phi) {
                    membrane_rows<phi, T>(layer, place(p, layer.neurons, row, rows), own_.tile);
                });
            }
    }

    // W^T e.
    void feed_back(LayerBuffers<T> &layer, int k) {
        for (int p = first_; p < last_; ++p)
            for (int tile = 0; tile < layer.input_rows.count; ++tile) {
                const int row = layer.input_rows.begin(tile), rows = layer.input_rows.length(tile);
                T *to = space_.feedback_of(k, p) + size_t(row) * space_.lanes(p);
                with_tile(rows, space_.panels.length(p), [&](auto r, auto c) {
                    error_tile<T, r, c>(layer.weight.value + row, layer.stride,
                                        layer.e + space_.offset(p, layer.neurons), layer.neurons, to);
                });
            }
    }

    // The rates below from (inputs, lanes) to (lanes, inputs), strip by strip.
    void turn(const LayerBuffers<T> &layer, const T *below) {
        constexpr int V = LANES<T>;
        for (int p = first_; p < last_; ++p)
            for (int strip = 0; strip < layer.strips.count; ++strip) {
                const size_t size = layer.strips.length(strip) * V, begin = size_t(layer.strips.begin(strip)) * V;
                const size_t lanes = space_.lanes(p), sample = space_.offset(p, 1);
                const T *from = below + space_.offset(p, layer.stride) + begin * lanes;
                T *to = space_.turned + begin * space_.width() + sample * size;
                for (size_t i = 0; i < size; i += V)
                    for (size_t lane = 0; lane < lanes; lane += V)
                        turn_block(from + i * lanes + lane, lanes, to + lane * size + i, size);
            }
    }

    // Eqs. 21-24: this thread's share of rows and time constants.
    void learn(LayerBuffers<T> &layer, int step) {
        const Update<T> update(run_, run_.rates[member_], step);
        for (int tile = thread_; tile < layer.rows.count; tile += threads_)
            learn_rows(layer, layer.rows.begin(tile), layer.rows.length(tile), update);
        if (thread_ == 0 && (run_.learn_tau_m || run_.learn_tau_r)) learn_taus(layer, update);
    }

    void learn_rows(LayerBuffers<T> &layer, int row, int rows, const Update<T> &update) {
        const int stride = layer.stride;
        for (int strip = 0; strip < layer.strips.count; ++strip)
            with_tile(rows, layer.strips.length(strip), [&](auto r, auto c) {
                const size_t begin = size_t(layer.strips.begin(strip)) * LANES<T>;
                gradient_tile<T, r, c>(layer.e, layer.neurons, row, space_.panels, space_.batch,
                                       space_.turned + begin * space_.width(), own_.gradient + begin, stride);
            });
        for (int r = 0; r < rows && !layer.layer->bias.value; ++r) own_.gradient[r * stride + layer.inputs] = 0;
        const size_t at = size_t(row) * stride;
        update.apply(layer.weight.from(at), own_.gradient, T(-1) / T(space_.batch), size_t(rows) * stride);
    }

    // The sum of a neuron's x y over the batch.
    T over_batch(int neurons, int neuron, const T *x, const T *y) {
        Vector<T> sum = {};
        for (int p = 0; p < space_.panels.count; ++p) {
            const Place row = place(p, neurons, neuron, 1);
            for (int lane = 0; lane < row.lanes; lane += LANES<T>)
                sum += load(x + row.at + lane) * load(y + row.at + lane);
        }
        T total = 0;
        for (int lane = 0; lane < LANES<T>; ++lane) total += sum[lane];
        return total;
    }

    void learn_taus(LayerBuffers<T> &layer, const Update<T> &update) {
        const T mean = T(1) / T(space_.batch);
        const auto learn_one = [&](const Learned<T> &tau, int n, T gradient) {
            update.apply(tau.from(n), &gradient, T(1), 1);
            clamp(tau.value + n, 1, run_);
        };
        for (int n = 0; n < layer.neurons; ++n) {
            if (run_.learn_tau_m) learn_one(layer.tau_m, n, mean * over_batch(layer.neurons, n, layer.e, layer.u_dot));
            if (run_.learn_tau_r)
                learn_one(layer.tau_r, n, -mean * over_batch(layer.neurons, n, layer.instant, layer.u_dot));
        }
        set_leaks(layer, run_);
    }

    void enter();
    void first_errors();
    void leave();
    void keep_feedback(const LayerBuffers<T> &layer, int k);
};

} // namespace glebench
