// The entry points of the native engine. Built several times with different flags; the loader picks one for this CPU.
#include <memory>
#include <system_error>

#include "ordered.hpp"

namespace glebench {

#ifndef GLEBENCH_STAMP
#define GLEBENCH_STAMP "none"
#endif

// Runs networks one after the other, each on this thread alone, until none is left.
template <class N, class T> void work_alone(const Run<T> &run, typename N::Memory &space, std::atomic<int64_t> &next) {
    const DenormalsFlushed flushed;
    for (int64_t member = next++; member < run.networks; member = next++) N(run, space, member).run();
}

// Each thread takes whole networks, of class N. A thread that cannot be started is left out.
template <class N, class T> void by_networks(Run<T> &run, int threads) {
    std::vector<std::unique_ptr<typename N::Memory>> spaces;
    for (int n = 0; n < threads; ++n) spaces.push_back(std::make_unique<typename N::Memory>(run));
    for (const auto &space : spaces) run.buffer_bytes += int64_t(space->arena.used());
    std::atomic<int64_t> next{0};
    std::vector<std::thread> helpers;
    try {
        for (int n = 1; n < threads; ++n)
            helpers.emplace_back([&, n] { work_alone<N>(run, *spaces[size_t(n)], next); });
    } catch (const std::system_error &) {
    }
    work_alone<N>(run, *spaces[0], next);
    for (std::thread &helper : helpers) helper.join();
}

// Fewer networks than threads: `size` threads share the batch of each. None starts before all are running.
template <class T> void by_teams(Run<T> &run, int size) {
    for (int64_t member = 0; member < run.networks; ++member) {
        Workspace<T> space(run, size);
        run.buffer_bytes = std::max(run.buffer_bytes, int64_t(space.arena.used()));
        Barrier barrier(size);
        enum { WAIT, GO, LEAVE };
        std::atomic<int> gate{WAIT};
        const auto work = [&](int thread) {
            while (gate == WAIT) std::this_thread::yield();
            const DenormalsFlushed flushed;
            if (gate == GO) Network<T>(run, space, barrier, member, thread, size).run();
        };
        std::vector<std::thread> helpers;
        bool complete = true;
        try {
            for (int thread = 1; thread < size; ++thread) helpers.emplace_back(work, thread);
        } catch (const std::system_error &) {
            complete = false;
        }
        gate = complete ? GO : LEAVE;
        if (complete) work(0);
        for (std::thread &helper : helpers) helper.join();
        if (!complete) {
            std::atomic<int64_t> next{member};
            Workspace<T> own(run);
            return work_alone<Network<T>>(run, own, next);
        }
    }
}

template <class T> int run(Run<T> *run) {
    run->buffer_bytes = 0;
    try {
        const int64_t vectors = (run->batch + LANES<T> - 1) / LANES<T>;
        const int threads = int(std::max<int64_t>(1, run->threads));
        const int members = int(std::min<int64_t>(threads, run->networks));
        if (run->integrator != EULER) by_networks<Ordered<T>>(*run, members);
        else if (run->networks >= threads || vectors < 2) by_networks<Network<T>>(*run, members);
        else by_teams(*run, int(std::min<int64_t>(threads, vectors)));
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

} // namespace glebench

extern "C" {

const char *glebench_stamp() { return GLEBENCH_STAMP; }

// Whether this CPU has the instruction set of this build.
int glebench_runs_here() {
#if defined(__AVX512VL__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
#elif defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

// Runs a batch. Returns 0, or 1 if memory does not suffice; the arguments may then be half updated: discard them.
int glebench_run_float(glebench::Run<float> *run) { return glebench::run(run); }
int glebench_run_double(glebench::Run<double> *run) { return glebench::run(run); }
}
