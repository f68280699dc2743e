// The workspace of a running network, in one allocation, and the copies into and out of it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "products.hpp"
#include "run.hpp"

namespace glebench {

// An allocator of aligned pieces of one block. Without a block it only counts, so that one layout serves both.
class Arena {
  public:
    template <class T> T *take(size_t count) {
        char *piece = block_ ? block_ + used_ : nullptr;
        used_ += (count * sizeof(T) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        return reinterpret_cast<T *>(piece);
    }
    void allocate() {
        block_ = static_cast<char *>(std::aligned_alloc(ALIGNMENT, used_));
        if (!block_) throw std::bad_alloc();
        size_ = used_;
        used_ = 0;
        clear();
    }
    void clear() { std::fill(block_, block_ + size_, 0); }
    size_t used() const { return used_; }
    Arena() = default;
    Arena(const Arena &) = delete;
    ~Arena() { std::free(block_); }

  private:
    char *block_ = nullptr;
    size_t used_ = 0, size_ = 0;
};

// Coefficients of a leaky step of one layer, a neuron each: x + (dt/tau) (drive - x), and looking ahead likewise.
template <class T> struct Leaks {
    T *step, *ahead;
};

// Rates and inputs lie with more rows than neurons: one that is always 1, the bias's input, and zeros up to a whole
// number of vectors, so that they can be turned by blocks.
template <class T> inline int padded(int neurons) { return (neurons + LANES<T>) / LANES<T> * LANES<T>; }

// The arrays of one layer: neurons in panels, weights row after row (see products.hpp).
template <class T> struct LayerBuffers {
    const Layer<T> *layer;
    int inputs, neurons, stride; // stride: of the weights' rows, in which the bias comes after the inputs, then zeros
    Partition rows, input_rows, strips; // strips: of `stride`, in vectors, as wide as a tile of the gradient
    Learned<T> weight;       // (N, stride)
    Learned<T> tau_m, tau_r; // (N)
    Leaks<T> membrane, error;
    T *u, *v, *e, *slope; // (N) of the batch
    T *r;                 // (padded N) of the batch
    T *u_dot, *instant;   // (N) of the batch; null unless time constants learn

    explicit LayerBuffers(const Layer<T> &layer)
        : layer(&layer), inputs(int(layer.inputs)), neurons(int(layer.neurons)), stride(padded<T>(inputs)),
          rows(neurons, ROWS), input_rows(inputs, ROWS), strips(stride / LANES<T>, COLUMNS) {}

    // Whole vectors of neurons, though only ordered_workspace.hpp looks at those that are not there.
    void lay_out(Arena &arena, size_t width, bool learns, bool learn_taus) {
        const size_t rows = padded<T>(neurons);
        for (T **piece : {&weight.value, &weight.mean, &weight.square})
            *piece = piece == &weight.value || (learns && layer->weight.mean) ? arena.take<T>(rows * stride) : nullptr;
        for (Learned<T> *tau : {&tau_m, &tau_r})
            for (T **piece : {&tau->value, &tau->mean, &tau->square}) *piece = arena.take<T>(rows);
        for (T **piece : {&membrane.step, &membrane.ahead, &error.step, &error.ahead}) *piece = arena.take<T>(rows);
        for (T **piece : {&u, &v, &e, &slope, &r}) *piece = arena.take<T>(rows * width);
        for (T **piece : {&u_dot, &instant}) *piece = learn_taus ? arena.take<T>(rows * width) : nullptr;
    }
};

// The scratch memory of one thread.
template <class T> struct Scratch {
    T *tile, *gradient, *above;
};

template <class T> struct Workspace {
    Arena arena;
    int batch;
    Panels panels;
    std::vector<LayerBuffers<T>> layers;
    std::vector<Scratch<T>> scratch; // a thread each
    T *inputs, *target, *mask;       // of the step, in panels; inputs have padded rows
    T *feedback[2];                  // W^T e of layers of even and of odd number, of the step, at `feedback_of`
    int widest = 0;                  // layer's inputs, padded
    T *turned; // rates below the layer at hand: strips of (width, up to COLUMNS vectors of inputs)

    // Panels are divided among `threads`, so there should be a multiple of that many; results do not depend on it.
    explicit Workspace(const Run<T> &run, int threads = 1)
        : batch(int(run.batch)), panels((batch + LANES<T> - 1) / LANES<T>, COLUMNS, threads), scratch(threads) {
        for (int64_t k = 0; k < run.layers; ++k) layers.emplace_back(run.layer[k]);
        lay_out(run);
        arena.allocate();
        lay_out(run);
    }

    size_t width() const { return size_t(panels.total) * LANES<T>; }
    size_t offset(int panel, int rows) const { return size_t(panels.begin(panel)) * LANES<T> * rows; }
    int lanes(int panel) const { return panels.length(panel) * LANES<T>; }
    // In the same place whatever the layer's width, since threads that are at different layers must not meet.
    T *feedback_of(int k, int panel) const { return feedback[k & 1] + offset(panel, widest); }

  private:
    void lay_out(const Run<T> &run) {
        for (LayerBuffers<T> &buffers : layers) {
            buffers.lay_out(arena, width(), run.learns, run.learn_tau_m || run.learn_tau_r);
            widest = std::max(widest, buffers.stride);
        }
        for (Scratch<T> &own : scratch) {
            own.tile = arena.take<T>(ROWS * COLUMNS * LANES<T>);
            own.gradient = arena.take<T>(size_t(ROWS) * widest);
            own.above = arena.take<T>(layers.back().neurons * COLUMNS * LANES<T>);
        }
        inputs = arena.take<T>(padded<T>(layers.front().inputs) * width());
        target = arena.take<T>(layers.back().neurons * width());
        mask = arena.take<T>(width());
        for (T *&buffer : feedback) buffer = arena.take<T>(widest * width());
        turned = run.learns ? arena.take<T>(widest * width()) : nullptr;
    }
};

// f(sample, index): each sample of a panel with the place of its first neuron in an array of `rows` neurons.
template <class T, class F> void each_sample(const Workspace<T> &space, int panel, int rows, F f) {
    const int lanes = space.lanes(panel), first = space.panels.begin(panel) * LANES<T>;
    for (int lane = 0; lane < lanes && first + lane < space.batch; ++lane)
        f(first + lane, space.offset(panel, rows) + lane);
}

// (B, rows) of torch into panels of `stride` rows, zero where nothing is. Back: panels `first` to `last` (exclusive).
template <class T> void to_panels(const Workspace<T> &space, const T *from, int rows, T *to, int stride) {
    std::fill_n(to, stride * space.width(), T(0));
    for (int p = 0; p < space.panels.count; ++p)
        each_sample(space, p, stride, [&](int b, size_t at) {
            for (int n = 0; n < rows; ++n) to[at + size_t(n) * space.lanes(p)] = from[size_t(b) * rows + n];
        });
}

template <class T>
void from_panels(const Workspace<T> &space, int first, int last, const T *from, int stride, int rows, T *to) {
    for (int p = first; p < last; ++p)
        each_sample(space, p, stride, [&](int b, size_t at) {
            for (int n = 0; n < rows; ++n) to[size_t(b) * rows + n] = from[at + size_t(n) * space.lanes(p)];
        });
}

// Sets the bias's input of an array of rates to 1, for samples that are not there too.
template <class T> void set_ones(const Workspace<T> &space, T *rates, int neurons) {
    for (int p = 0; p < space.panels.count; ++p) {
        T *row = rates + space.offset(p, padded<T>(neurons)) + size_t(neurons) * space.lanes(p);
        std::fill(row, row + space.lanes(p), T(1));
    }
}

// Weights (N, N_in) and biases (N) of torch into rows of `stride`, or back.
template <class T> void to_rows(const LayerBuffers<T> &buffers, const T *weight, const T *bias, T *rows) {
    for (int j = 0; j < buffers.neurons; ++j) {
        std::copy_n(weight + size_t(j) * buffers.inputs, buffers.inputs, rows + size_t(j) * buffers.stride);
        rows[size_t(j) * buffers.stride + buffers.inputs] = bias ? bias[j] : T(0);
    }
}

template <class T> void from_rows(const LayerBuffers<T> &buffers, const T *rows, T *weight, T *bias) {
    for (int j = 0; j < buffers.neurons; ++j) {
        std::copy_n(rows + size_t(j) * buffers.stride, buffers.inputs, weight + size_t(j) * buffers.inputs);
        if (bias) bias[j] = rows[size_t(j) * buffers.stride + buffers.inputs];
    }
}

} // namespace glebench
