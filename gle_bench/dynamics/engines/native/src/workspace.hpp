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
    // A block of zeros. Its pages come at once, or those of a long tape, of which much may stay unused, one by one.
    void allocate(bool at_once = true) {
        memory_ = std::calloc(used_ + ALIGNMENT, 1);
        if (!memory_) throw std::bad_alloc();
        const auto address = reinterpret_cast<uintptr_t>(memory_);
        block_ = static_cast<char *>(memory_) + (ALIGNMENT - address % ALIGNMENT) % ALIGNMENT;
        size_ = used_;
        used_ = 0;
        if (at_once) clear();
    }
    void clear() { std::fill(block_, block_ + size_, 0); }
    size_t used() const { return used_; }
    Arena() = default;
    Arena(const Arena &) = delete;
    ~Arena() { std::free(memory_); }

  private:
    void *memory_ = nullptr;
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

// Arrays of the last steps. Nothing moves: a step's array lies in the slot of its number.
template <class T> struct Ring {
    T *first = nullptr; // null: there is none
    size_t size = 0;    // of an array
    int64_t slots = 1;

    void lay_out(Arena &arena, size_t each, int64_t count) {
        size = each;
        slots = count;
        first = arena.take<T>(size * size_t(slots));
    }
    explicit operator bool() const { return first; }
    T *at(int64_t step) const { return first + size * size_t((step + slots) % slots); } // from -slots on
};

// Rows of a gradient that are computed at once. They are places in `order`, and of one population.
struct RowTile {
    int begin, rows, population;
};

// The neurons of a layer by the traces that they share (gle_bench/dynamics/local_memory.py): those of one population
// follow each other, so that the gradient of each is a block of an ordinary product.
struct Populations {
    std::vector<int> order, place; // the neuron at a place, and the place of a neuron
    std::vector<int> first;        // a neuron of each population
    std::vector<RowTile> tiles;
    bool sorted = true; // whether every neuron is in its own place

    Populations(int neurons, const int64_t *population) : order(neurons), place(neurons) {
        for (int p = 0, end = 0; end < neurons; ++p) {
            const int begin = end;
            for (int n = 0; n < neurons; ++n)
                if (!population || population[n] == p) order[end++] = n;
            first.push_back(order[begin]);
            const Partition rows(end - begin, ROWS);
            for (int tile = 0; tile < rows.count; ++tile)
                tiles.push_back({begin + rows.begin(tile), rows.length(tile), p});
        }
        for (int n = 0; n < neurons; ++n) {
            place[order[n]] = n;
            sorted = sorted && order[n] == n;
        }
    }
    int count() const { return int(first.size()); }
};

// What goes backward in time: see tape.hpp.
template <class T> struct Backward {
    T *error, *owed, *above;     // (N) of the batch: lambda, what it owes to the step before, what comes from above
    T *weight, *tau_m, *tau_r;   // (N, stride), (N), (N): sums of products over the window

    void lay_out(Arena &arena, size_t size, size_t weights, size_t rows) {
        for (T **piece : {&error, &owed, &above}) *piece = arena.take<T>(size);
        weight = arena.take<T>(weights);
        for (T **piece : {&tau_m, &tau_r}) *piece = arena.take<T>(rows);
    }
};

// The arrays of one layer: neurons in panels, weights row after row (see products.hpp).
template <class T> struct LayerBuffers {
    const Layer<T> *layer;
    int inputs, neurons, stride; // stride: of the weights' rows, in which the bias comes after the inputs, then zeros
    Partition rows, input_rows, strips; // strips: of `stride`, in vectors, as wide as a tile of the gradient
    Populations populations;
    bool traced;             // whether its own update multiplies the instantaneous error by traces
    int64_t late_rates, late_slopes; // steps by which presynaptic signals and phi' wait
    Learned<T> weight;       // (N, stride)
    Learned<T> tau_m, tau_r; // (N)
    Leaks<T> membrane, error;
    T *u, *v, *e; // (N) of the batch
    T *r;         // (padded N) of the batch
    T *instant;   // (N) of the batch, in the order of `populations`; null unless something learns by it
    T *learnt;    // the error of the layer's own update: `e` or `instant`
    Ring<T> slope, u_dot;             // (N) of the batch; no u_dot unless time constants learn
    Ring<T> presynaptic;              // turned rates of the layer below (see Network::turn); the workspace's own slot
    T *trace;                         // (P) times as much: low-passed
    T *instant_square, *error_square; // (N) of the batch
    T *back;                          // (N, stride), or (N, C) from the output; null: W
    Backward<T> backward;

    LayerBuffers(const Layer<T> &layer, const int64_t *population)
        : layer(&layer), inputs(int(layer.inputs)), neurons(int(layer.neurons)), stride(padded<T>(inputs)),
          rows(neurons, ROWS), input_rows(inputs, ROWS), strips(stride / LANES<T>, COLUMNS),
          populations(neurons, layer.memory.trace ? population : nullptr), traced(layer.memory.trace),
          late_rates(layer.memory.rates ? layer.delay : 0), late_slopes(layer.memory.slopes ? layer.delay - 1 : 0) {}

    // Whole vectors of neurons, though only ordered_workspace.hpp looks at those that are not there.
    void lay_out(Arena &arena, size_t width, const Run<T> &run) {
        const size_t rows = padded<T>(neurons);
        for (T **piece : {&weight.value, &weight.mean, &weight.square})
            *piece = piece == &weight.value || (run.learns && layer->weight.mean) ? arena.take<T>(rows * stride)
                                                                                  : nullptr;
        for (Learned<T> *tau : {&tau_m, &tau_r})
            for (T **piece : {&tau->value, &tau->mean, &tau->square}) *piece = arena.take<T>(rows);
        for (T **piece : {&membrane.step, &membrane.ahead, &error.step, &error.ahead}) *piece = arena.take<T>(rows);
        for (T **piece : {&u, &v, &e, &r}) *piece = arena.take<T>(rows * width);
        lay_out_lines(arena, rows * width, width, run);
        lay_out_memory(arena, rows * width, width, run);
        if (run.window) backward.lay_out(arena, rows * width, rows * stride, rows);
    }

  private:
    // What waits for its error: a delay line holds what is still to be read, and a tape a window.
    void lay_out_lines(Arena &arena, size_t size, size_t width, const Run<T> &run) {
        const Remembered<T> &memory = layer->memory;
        const int64_t tape = std::max<int64_t>(run.window, 1);
        slope.lay_out(arena, size, memory.slopes ? layer->delay : tape);
        if (run.learn_tau_m || run.learn_tau_r)
            u_dot.lay_out(arena, size, memory.u_dots ? layer->delay + 1 : tape);
        if (memory.rates || run.window)
            presynaptic.lay_out(arena, stride * width, memory.rates ? layer->delay + 1 : tape);
    }

    void lay_out_memory(Arena &arena, size_t size, size_t width, const Run<T> &run) {
        const Remembered<T> &memory = layer->memory;
        const auto if_any = [&](const void *torch, size_t count) { return torch ? arena.take<T>(count) : nullptr; };
        const bool apart = traced && !(layer->sent == INSTANTANEOUS && populations.sorted);
        instant = run.learn_tau_m || run.learn_tau_r || apart ? arena.take<T>(size) : nullptr;
        learnt = apart ? instant : e;
        trace = if_any(memory.trace, populations.count() * stride * width);
        instant_square = if_any(memory.instant_square, size);
        error_square = if_any(memory.error_square, size);
        const size_t outputs = run.layer[run.layers - 1].neurons;
        back = if_any(memory.back, neurons * std::max(size_t(stride), outputs));
    }
};

// The scratch memory of one thread.
template <class T> struct Scratch {
    T *tile, *gradient, *above; // gradient: (2, ROWS, widest), of which the second half is for feedback weights
};

// f(layer, population of each of its neurons or null).
template <class T, class F> void each_layer(const Run<T> &run, F f) {
    const int64_t *population = run.population;
    for (int64_t k = 0; k < run.layers; ++k) {
        f(run.layer[k], population);
        if (population) population += run.layer[k].neurons;
    }
}

template <class T> struct Workspace {
    Arena arena;
    int batch;
    Panels panels;
    std::vector<LayerBuffers<T>> layers;
    std::vector<Scratch<T>> scratch; // a thread each
    T *inputs, *target, *mask;       // of the step, in panels; inputs have padded rows
    Ring<T> nudging;                 // (C) of the batch, of the steps of a tape
    T *feedback[2];                  // W^T e of layers of even and of odd number, of the step, at `feedback_of`
    int widest = 0;                  // layer's inputs, padded
    T *turned;   // rates below the layer at hand: strips of (width, up to COLUMNS vectors of inputs)
    T *filtered; // what its membranes would make of them, a population each; null unless the rule has traces

    // Panels are divided among `threads`, so there should be a multiple of that many; results do not depend on it.
    explicit Workspace(const Run<T> &run, int threads = 1)
        : batch(int(run.batch)), panels((batch + LANES<T> - 1) / LANES<T>, COLUMNS, threads), scratch(threads) {
        each_layer(run, [&](const Layer<T> &layer, const int64_t *own) { layers.emplace_back(layer, own); });
        lay_out(run);
        arena.allocate(!run.window);
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
            buffers.lay_out(arena, width(), run);
            widest = std::max(widest, buffers.stride);
        }
        for (Scratch<T> &own : scratch) {
            own.tile = arena.take<T>(ROWS * COLUMNS * LANES<T>);
            own.gradient = arena.take<T>(size_t(2) * ROWS * widest);
            own.above = arena.take<T>(layers.back().neurons * COLUMNS * LANES<T>);
        }
        inputs = arena.take<T>(padded<T>(layers.front().inputs) * width());
        target = arena.take<T>(layers.back().neurons * width());
        mask = arena.take<T>(width());
        for (T *&buffer : feedback) buffer = arena.take<T>(widest * width());
        turned = run.learns ? arena.take<T>(widest * width()) : nullptr;
        size_t most = 0;
        for (const LayerBuffers<T> &buffers : layers)
            if (buffers.traced) most = std::max(most, size_t(buffers.populations.count()) * buffers.stride);
        filtered = most ? arena.take<T>(most * width()) : nullptr;
        for (LayerBuffers<T> &buffers : layers)
            if (!buffers.presynaptic) buffers.presynaptic.first = turned;
        if (run.window) nudging.lay_out(arena, layers.back().neurons * width(), run.window);
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

// Where input i of sample b lies in rates that Network::turn has turned.
template <class T> size_t turned_at(const Workspace<T> &space, const LayerBuffers<T> &buffers, int b, int i) {
    const Partition &strips = buffers.strips;
    int strip = 0;
    while (i >= (strips.begin(strip) + strips.length(strip)) * LANES<T>) ++strip;
    const size_t begin = size_t(strips.begin(strip)) * LANES<T>, size = size_t(strips.length(strip)) * LANES<T>;
    return begin * space.width() + b * size + (i - begin);
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
