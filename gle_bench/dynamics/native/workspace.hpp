// Everything a network needs while it runs, in one allocation, and the ways in and out of it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "products.hpp"
#include "run.hpp"

namespace glebench {

// Hands out aligned pieces of one block. Without a block it only counts, so that the same layout is walked twice.
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
        std::fill(block_, block_ + used_, 0);
        used_ = 0;
    }
    size_t used() const { return used_; }
    Arena() = default;
    Arena(const Arena &) = delete;
    ~Arena() { std::free(block_); }

  private:
    char *block_ = nullptr;
    size_t used_ = 0;
};

// Coefficients of a leaky step of one layer, a neuron each: x + (dt/tau) (drive - x), and looking ahead likewise.
template <class T> struct Leaks {
    T *step, *ahead;
};

// A layer at work. Neurons lie in panels, weights in slabs (see products.hpp). Rates have one row more, which is 1: the
// bias's input.
template <class T> struct Space {
    const Layer<T> *layer;
    int inputs, neurons;
    Partition rows, input_rows;
    size_t slab_size;
    Learned<T> weight;       // rows.count slabs, the bias in their last lines
    Learned<T> tau_m, tau_r; // (N)
    Leaks<T> membrane, error;
    T *u, *v, *r, *e, *slope;
    T *u_dot, *instant; // null unless time constants learn

    explicit Space(const Layer<T> &layer)
        : layer(&layer), inputs(int(layer.inputs)), neurons(int(layer.neurons)), rows(neurons, ROWS),
          input_rows(inputs, ROWS) {
        constexpr size_t V = LANES<T>;
        slab_size = (size_t(inputs + 1) * ROWS + V - 1) / V * V;
    }

    void lay_out(Arena &arena, size_t width, bool learns, bool learn_taus) {
        for (T **piece : {&weight.value, &weight.mean, &weight.square})
            *piece = piece == &weight.value || (learns && layer->weight.mean) ? arena.take<T>(rows.count * slab_size)
                                                                              : nullptr;
        for (Learned<T> *tau : {&tau_m, &tau_r})
            for (T **piece : {&tau->value, &tau->mean, &tau->square}) *piece = arena.take<T>(neurons);
        for (T **piece : {&membrane.step, &membrane.ahead, &error.step, &error.ahead}) *piece = arena.take<T>(neurons);
        for (T **piece : {&u, &v, &e, &slope}) *piece = arena.take<T>(neurons * width);
        r = arena.take<T>((neurons + 1) * width);
        for (T **piece : {&u_dot, &instant}) *piece = learn_taus ? arena.take<T>(neurons * width) : nullptr;
    }

    T *slab(T *of, int tile) const { return of + tile * slab_size; }
};

// What a thread scribbles on.
template <class T> struct Scratch {
    T *tile, *gradient, *above;
};

template <class T> struct Workspace {
    Arena arena;
    int batch;
    Panels panels;
    std::vector<Space<T>> layers;
    std::vector<Scratch<T>> scratch; // a thread each
    T *inputs, *target, *mask;       // of the step, in panels
    T *feedback[2];                  // W^T e of layers of even and of odd number, of the step

    // Panels are divided among `threads`, so there should be a multiple of that many; results do not depend on it.
    Workspace(const Run<T> &run, int threads)
        : batch(int(run.batch)), panels((batch + LANES<T> - 1) / LANES<T>, COLUMNS, threads), scratch(threads) {
        for (int64_t k = 0; k < run.layers; ++k) layers.emplace_back(run.layer[k]);
        lay_out(run);
        arena.allocate();
        lay_out(run);
    }

    size_t width() const { return size_t(panels.total) * LANES<T>; }
    size_t offset(int panel, int rows) const { return size_t(panels.begin(panel)) * LANES<T> * rows; }
    int lanes(int panel) const { return panels.length(panel) * LANES<T>; }

  private:
    void lay_out(const Run<T> &run) {
        size_t largest_slab = 0, widest = 0;
        for (Space<T> &space : layers) {
            space.lay_out(arena, width(), run.learns, run.learn_tau_m || run.learn_tau_r);
            largest_slab = std::max(largest_slab, space.slab_size);
            widest = std::max(widest, size_t(space.inputs));
        }
        constexpr size_t V = LANES<T>;
        for (Scratch<T> &own : scratch) {
            own.tile = arena.take<T>(ROWS * COLUMNS * V);
            own.gradient = arena.take<T>(largest_slab + V);
            own.above = arena.take<T>(layers.back().neurons * COLUMNS * V);
        }
        inputs = arena.take<T>((layers.front().inputs + 1) * width());
        target = arena.take<T>(layers.back().neurons * width());
        mask = arena.take<T>(width());
        for (T *&buffer : feedback) buffer = arena.take<T>(widest * width());
    }
};

// f(sample, index): each sample of a panel with the place of its first neuron in an array of `rows` neurons.
template <class T, class F> void each_sample(const Workspace<T> &space, int panel, int rows, F f) {
    const int lanes = space.lanes(panel), first = space.panels.begin(panel) * LANES<T>;
    for (int lane = 0; lane < lanes && first + lane < space.batch; ++lane)
        f(first + lane, space.offset(panel, rows) + lane);
}

// (B, rows) of torch into panels of `stride` rows, and panels `first` to `last` (exclusive) back.
template <class T> void to_panels(const Workspace<T> &space, const T *from, int rows, T *to, int stride) {
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

// Sets the last of `stride` rows to 1, for samples that are not there too.
template <class T> void set_ones(const Workspace<T> &space, T *rates, int stride) {
    for (int p = 0; p < space.panels.count; ++p) {
        T *row = rates + space.offset(p, stride) + size_t(stride - 1) * space.lanes(p);
        std::fill(row, row + space.lanes(p), T(1));
    }
}

// f(place in the slabs, row, input): each weight once.
template <class T, class F> void each_weight(const Space<T> &space, F f) {
    for (int tile = 0; tile < space.rows.count; ++tile)
        for (int r = 0; r < space.rows.length(tile); ++r)
            for (int i = 0; i <= space.inputs; ++i)
                f(tile * space.slab_size + size_t(i) * ROWS + r, space.rows.begin(tile) + r, i);
}

// Weights (N, N_in) and biases (N) of torch into slabs, or back; the bias is the input that comes last.
template <class T> void to_slabs(const Space<T> &space, const T *weight, const T *bias, T *slabs) {
    each_weight(space, [&](size_t at, int j, int i) {
        if (i < space.inputs) slabs[at] = weight[size_t(j) * space.inputs + i];
        else slabs[at] = bias ? bias[j] : T(0);
    });
}

template <class T> void from_slabs(const Space<T> &space, const T *slabs, T *weight, T *bias) {
    each_weight(space, [&](size_t at, int j, int i) {
        if (i < space.inputs) weight[size_t(j) * space.inputs + i] = slabs[at];
        else if (bias) bias[j] = slabs[at];
    });
}

} // namespace glebench
