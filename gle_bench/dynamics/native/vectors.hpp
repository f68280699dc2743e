// Vectors of 32 bytes, written with the compiler's vector extension: one source for every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glebench {

#if defined(__AVX512VL__)
constexpr int ROWS = 8; // 32 registers: tiles of 8 rows by 3 vectors
#else
constexpr int ROWS = 4; // 16 registers: tiles of 4 rows by 3 vectors
#endif
constexpr int COLUMNS = 3;
constexpr int VECTOR_BYTES = 32;
constexpr size_t ALIGNMENT = 64;

template <class T> constexpr int LANES = VECTOR_BYTES / sizeof(T);

template <class T> struct VectorOf {
    typedef T type __attribute__((vector_size(VECTOR_BYTES), may_alias));
};
template <class T> using Vector = typename VectorOf<T>::type;

template <class T> inline Vector<T> load(const T *from) { return *reinterpret_cast<const Vector<T> *>(from); }
template <class T> inline void store(T *to, Vector<T> x) { *reinterpret_cast<Vector<T> *>(to) = x; }
// Where only the alignment of T is sure.
template <class T> inline void store_anywhere(T *to, Vector<T> x) { __builtin_memcpy(to, &x, VECTOR_BYTES); }
template <class T> inline Vector<T> all(T x) { return x - Vector<T>{}; } // minus zero changes nothing: no instruction

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
