// Vectors of the instruction set's width, written with the compiler's vector extension: one source for all widths.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glebench {

// A tile of a matrix product is ROWS by COLUMNS vectors, as many as stay in registers.
#if defined(__AVX512VL__) // 32 registers; vectors of 64 bytes would be no faster and waste more of a batch of 100
constexpr int ROWS = 8, VECTOR_BYTES = 32;
#elif defined(__AVX__) // 16 registers
constexpr int ROWS = 4, VECTOR_BYTES = 32;
#else
constexpr int ROWS = 4, VECTOR_BYTES = 16;
#endif
constexpr int COLUMNS = 3;
constexpr size_t ALIGNMENT = 64;

template <class T> constexpr int LANES = VECTOR_BYTES / sizeof(T);

template <class T> struct VectorOf {
    typedef T type __attribute__((vector_size(VECTOR_BYTES), may_alias));
};
template <class T> using Vector = typename VectorOf<T>::type;

template <class T> inline Vector<T> load(const T *from) { return *reinterpret_cast<const Vector<T> *>(from); }
template <class T> inline void store(T *to, Vector<T> x) { *reinterpret_cast<Vector<T> *>(to) = x; }
template <class T> inline Vector<T> all(T x) { return x - Vector<T>{}; } // minus zero: no instruction; plus: one

// `total` things in parts as equal as can be, none larger than `largest`: 13 in parts of at most 3 are 3, 3, 3, 2, 2.
// The number of parts is a multiple of `multiple`, where there are enough things.
struct Partition {
    int total, count, size, larger; // the first `larger` parts have one more than `size`

    Partition(int total, int largest, int multiple = 1) : total(total) {
        count = (total + largest - 1) / largest;
        count = (count + multiple - 1) / multiple * multiple;
        count = count < total ? count : total;
        size = total / count;
        larger = total % count;
    }
    int begin(int part) const { return part * size + (part < larger ? part : larger); }
    int length(int part) const { return size + (part < larger); }
};

} // namespace glebench
