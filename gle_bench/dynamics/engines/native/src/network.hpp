// Runs one network through all time steps of a batch, on one thread or on several that share the batch.
#pragma once

#include "learning.hpp"
#include "neurons.hpp"
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
        if (run_.window) run_windows();
        for (int step = 0; step < run_.steps && !run_.window; ++step) {
            take_in(step);
            if (run_.errors) nudge(step);
            for (int k = top(); k >= 0; --k) switch_layer(k, step);
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
    int top() const { return int(space_.layers.size()) - 1; }
    const T *below(int k) const { return k == 0 ? space_.inputs : space_.layers[k - 1].r; }

    // Layer k from step n to n + 1: first what needs e and W of step n, then e of step n + 1.
    void switch_layer(int k, int step) {
        LayerBuffers<T> &layer = space_.layers[k];
        const bool passes_on = run_.errors && !run_.broadcast;
        if (passes_on) send_down(k, step);
        forward(layer, below(k), step);
        if (learns(layer)) {
            turn(layer, below(k), step);
            if (layer.traced) filter(layer, step);
            barrier_.wait(); // each thread has its panels, and now needs those of all
            learn(layer, step);
            barrier_.wait();
        }
        if (passes_on) receive(k, step);
    }

    // W^T e of the step, for the layer below.
    void send_down(int k, int step) {
        const LayerBuffers<T> &layer = space_.layers[k];
        const bool last = step == run_.steps - 1, heard = k > 0 && space_.layers[k - 1].layer->has_errors;
        if (heard || (last && layer.layer->feeds_back))
            feed_back(layer, layer.e, [&](int p) { return space_.feedback_of(k, p); });
    }

    // The errors of the next step, from W^T e of the layer above.
    void receive(int k, int step) {
        const LayerBuffers<T> &layer = space_.layers[k];
        const bool last = step == run_.steps - 1;
        if (last && layer.layer->feeds_back) keep_feedback(layer, k);
        if (last || !layer.layer->has_errors || k == top()) return;
        for (int p = first_; p < last_; ++p) {
            const Place all = place(p, layer.neurons, 0, layer.neurons);
            error_rows(layer, run_, all, space_.feedback_of(k + 1, p), step + 1);
        }
    }

    bool learns(const LayerBuffers<T> &layer) const {
        return run_.learns && layer.layer->plastic && layer.layer->has_errors;
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

    // The errors of the output layer; those of all layers where its nudging is broadcast.
    void nudge(int step) {
        const LayerBuffers<T> &top = space_.layers.back();
        for (int p = first_; p < last_ && top.layer->has_errors; ++p) {
            const Place all = place(p, top.neurons, 0, top.neurons);
            nudging_of(all, p, own_.above);
            error_rows(top, run_, all, own_.above, step);
            for (const LayerBuffers<T> &layer : space_.layers)
                if (run_.broadcast && layer.layer->has_errors && &layer != &top) broadcast(layer, p, step);
        }
    }

    // The nudging of a panel into `above`.
    void nudging_of(const Place &all, int panel, T *above) {
        const LayerBuffers<T> &top = space_.layers.back();
        if (run_.target.data)
            nudging(top.r + all.rates_at, space_.target + all.at, space_.mask + space_.offset(panel, 1), T(run_.beta),
                    run_.cross_entropy, top.neurons, all.lanes, above);
        else std::fill(above, above + size_t(top.neurons) * all.lanes, T(0));
    }

    // The errors of a layer from the nudging of a panel, by random weights.
    void broadcast(const LayerBuffers<T> &layer, int panel, int step) {
        const int outputs = space_.layers.back().neurons;
        for (int tile = 0; tile < layer.rows.count; ++tile) {
            const int row = layer.rows.begin(tile), rows = layer.rows.length(tile);
            with_tile(rows, space_.panels.length(panel), [&](auto r, auto c) {
                forward_tile<T, r, c>(layer.back + size_t(row) * outputs, outputs, own_.above, outputs, own_.tile);
            });
            error_rows(layer, run_, place(panel, layer.neurons, row, rows), own_.tile, step);
        }
    }

    // W r + b, and the neurons' step while the sums are still in registers.
    void forward(const LayerBuffers<T> &layer, const T *below, int step) {
        for (int p = first_; p < last_; ++p)
            for (int tile = 0; tile < layer.rows.count; ++tile) {
                const int row = layer.rows.begin(tile), rows = layer.rows.length(tile);
                const T *weights = layer.weight.value + size_t(row) * layer.stride;
                with_tile(rows, space_.panels.length(p), [&](auto r, auto c) {
                    forward_tile<T, r, c>(weights, layer.stride, below + space_.offset(p, layer.stride),
                                          layer.inputs + 1, own_.tile);
                });
                with_phi(Phi(layer.layer->phi), [&](auto phi) {
                    membrane_rows<phi, T>(layer, place(p, layer.neurons, row, rows), own_.tile, step);
                });
            }
    }

    // W^T e, or B e, of each panel p to to(p).
    template <class To> void feed_back(const LayerBuffers<T> &layer, const T *errors, To to_panel) {
        const T *weights = layer.back ? layer.back : layer.weight.value;
        for (int p = first_; p < last_; ++p)
            for (int tile = 0; tile < layer.input_rows.count; ++tile) {
                const int row = layer.input_rows.begin(tile), rows = layer.input_rows.length(tile);
                T *to = to_panel(p) + size_t(row) * space_.lanes(p);
                with_tile(rows, space_.panels.length(p), [&](auto r, auto c) {
                    error_tile<T, r, c>(weights + row, layer.stride, errors + space_.offset(p, layer.neurons),
                                        layer.neurons, to);
                });
            }
    }

    // The rates below from (inputs, lanes) to (lanes, inputs), strip by strip, into the slot of this step.
    void turn(const LayerBuffers<T> &layer, const T *below, int step) {
        constexpr int V = LANES<T>;
        T *turned = layer.presynaptic.at(step);
        for (int p = first_; p < last_; ++p)
            for (int strip = 0; strip < layer.strips.count; ++strip) {
                const size_t size = layer.strips.length(strip) * V, begin = size_t(layer.strips.begin(strip)) * V;
                const size_t lanes = space_.lanes(p), sample = space_.offset(p, 1);
                const T *from = below + space_.offset(p, layer.stride) + begin * lanes;
                T *to = turned + begin * space_.width() + sample * size;
                for (size_t i = 0; i < size; i += V)
                    for (size_t lane = 0; lane < lanes; lane += V)
                        turn_block(from + i * lanes + lane, lanes, to + lane * size + i, size);
            }
    }

    // The trace of each population: the rates of this step, or of as long ago as their error is late, and F of them.
    void filter(const LayerBuffers<T> &layer, int step) {
        constexpr int V = LANES<T>;
        const T *rates = layer.presynaptic.at(step - layer.late_rates);
        const size_t first = space_.offset(first_, 1), samples = space_.offset(last_, 1) - first;
        for (int strip = 0; strip < layer.strips.count; ++strip) {
            const size_t size = layer.strips.length(strip) * V, begin = size_t(layer.strips.begin(strip)) * V;
            const size_t at = begin * space_.width() + first * size, end = at + samples * size;
            for (int p = 0; p < layer.populations.count(); ++p) {
                const int n = layer.populations.first[p];
                const T next = layer.membrane.step[n], ahead = layer.membrane.ahead[n];
                T *trace = trace_of(layer, layer.trace, p), *filtered = trace_of(layer, space_.filtered, p);
                for (size_t k = at; k < end; k += V) {
                    const Vector<T> before = load(trace + k), rate = load(rates + k);
                    if (ahead != 1) store(filtered + k, towards<T>(before, rate, ahead));
                    store(trace + k, towards<T>(before, rate, next));
                }
            }
        }
    }

    T *trace_of(const LayerBuffers<T> &layer, T *traces, int population) const {
        return traces + size_t(population) * layer.stride * space_.width();
    }

    // What the update of a population multiplies its errors by.
    const T *teaching(const LayerBuffers<T> &layer, int population, int step) const {
        if (layer.traced && layer.membrane.ahead[layer.populations.first[population]] != 1) // else F r is r
            return trace_of(layer, space_.filtered, population);
        return layer.presynaptic.at(step - layer.late_rates);
    }

    // Eqs. 21-24: this thread's share of rows and time constants.
    void learn(LayerBuffers<T> &layer, int step) {
        const Update<T> update(run_, run_.rates[member_], step);
        const std::vector<RowTile> &tiles = layer.populations.tiles;
        for (size_t tile = thread_; tile < tiles.size(); tile += threads_) learn_rows(layer, tiles[tile], step, update);
        if (thread_ == 0 && (run_.learn_tau_m || run_.learn_tau_r)) learn_taus(layer, step, update);
    }

    void learn_rows(const LayerBuffers<T> &layer, const RowTile &tile, int step, const Update<T> &update) {
        multiply(layer, tile, layer.learnt, teaching(layer, tile.population, step));
        const T factor = T(-1) / T(space_.batch);
        if (run_.every) return sum_rows(layer, tile, own_.gradient, factor, window_of_sums(step));
        update_rows(layer, tile, own_.gradient, own_.gradient + size_t(ROWS) * space_.widest, factor, update);
    }

    // The products of errors and turned rates of a tile, summed over the batch, into the thread's `gradient`.
    void multiply(const LayerBuffers<T> &layer, const RowTile &tile, const T *errors, const T *turned) {
        const int stride = layer.stride;
        for (int strip = 0; strip < layer.strips.count; ++strip)
            with_tile(tile.rows, layer.strips.length(strip), [&](auto r, auto c) {
                const size_t begin = size_t(layer.strips.begin(strip)) * LANES<T>;
                gradient_tile<T, r, c>(errors, layer.neurons, tile.begin, space_.panels, space_.batch,
                                       turned + begin * space_.width(), own_.gradient + begin, stride);
            });
        for (int r = 0; r < tile.rows && !layer.layer->bias.value; ++r) own_.gradient[r * stride + layer.inputs] = 0;
    }

    // Sums (W, S, ...): the number of the member's part, in the window of `step`.
    int64_t window_of_sums(int64_t step) const { return step / run_.every * run_.networks + member_; }

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

    void learn_taus(const LayerBuffers<T> &layer, int step, const Update<T> &update) {
        const T mean = T(1) / T(space_.batch);
        const T *u_dot = layer.u_dot.at(step - layer.late_rates);
        const auto learn_one = [&](const Learned<T> &tau, T *sums, int n, T gradient) {
            if (run_.every) {
                sums[size_t(window_of_sums(step)) * layer.neurons + n] += gradient;
                return;
            }
            update.apply(tau.from(n), &gradient, T(1), 1);
            clamp(tau.value + n, 1, run_);
        };
        const Sums<T> &sums = layer.layer->sums;
        for (int n = 0; n < layer.neurons; ++n) {
            if (run_.learn_tau_m)
                learn_one(layer.tau_m, sums.tau_m, n, mean * over_batch(layer.neurons, n, layer.e, u_dot));
            if (run_.learn_tau_r)
                learn_one(layer.tau_r, sums.tau_r, n, -mean * over_batch(layer.neurons, n, layer.instant, u_dot));
        }
        if (!run_.every) set_leaks(layer, run_);
    }

    void enter();
    void first_errors();
    void leave();
    void keep_feedback(const LayerBuffers<T> &layer, int k);
    void take_memory(const LayerBuffers<T> &buffers);
    void give_memory(const LayerBuffers<T> &buffers);
    void give_traces(const LayerBuffers<T> &buffers);
    T *line(T *torch, int count, int at, int rows) const;
    void to_turned(const LayerBuffers<T> &buffers, const T *from, T *to) const;
    void from_turned(const LayerBuffers<T> &buffers, const T *from, T *to) const;
    void ones_turned(const LayerBuffers<T> &buffers, T one, T *to) const;

    // Of rules with a tape: tape.hpp.
    void run_windows();
    void record(int step);
    void go_back(int step);
    void errors_before(const LayerBuffers<T> &layer, int step);
    void add_products(const LayerBuffers<T> &layer, int step);
    void learn_window(LayerBuffers<T> &layer, int window, int steps);
};

} // namespace glebench
