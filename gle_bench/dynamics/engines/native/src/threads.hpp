// A barrier for threads that share a network, and the flushing of denormals while they compute.
#pragma once

#include <atomic>
#include <thread>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace glebench {

// A barrier: all threads wait until all have arrived. It spins briefly, since a phase of a step takes microseconds, then
// yields: if there are more threads than cores, the last one must be able to run.
class Barrier {
  public:
    explicit Barrier(int threads) : threads_(threads) {}

    void wait() {
        if (threads_ == 1) return;
        const unsigned round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.fetch_add(1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins)
            if (spins > 2000) std::this_thread::yield();
    }

  private:
    const int threads_;
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> round_{0};
};

// Numbers too small to be normal count as zero, as under torch.set_flush_denormal: they would be slow.
// Elsewhere than on x86 they are computed.
class DenormalsFlushed {
  public:
#if defined(__SSE2__)
    DenormalsFlushed() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~DenormalsFlushed() { _mm_setcsr(before_); }
    DenormalsFlushed(const DenormalsFlushed &) = delete;

  private:
    const unsigned before_;
#else
    DenormalsFlushed() {}
#endif
};

} // namespace glebench
