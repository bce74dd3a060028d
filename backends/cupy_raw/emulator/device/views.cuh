// Checked views of arrays in global and in shared memory. An index outside an array is reported and yields a null address: a
// read there gives 0, a write is dropped, and the launch continues.
#pragma once

namespace emulator {

// The value of `&a(i, j)`.
template <class T>
struct Pointer {
    T* address;
    Region* region;
};

// An element that may be written. It converts to its value only as a temporary, so that `auto v = a(i)` does not compile: it
// would be a reference here, and a copy on a GPU.
template <class T>
class Ref {
public:
    Ref(T* address, Region* region, Site site) : address_(address), region_(region), site_(site) {}

    operator T() const&& { return load(); }
    T operator=(T value) && {
        store(value);
        return value;
    }
    T operator=(const Ref& other) && {
        const T value = other.load();
        store(value);
        return value;
    }
    T operator+=(T by) && { return change(T(load() + by)); }
    T operator-=(T by) && { return change(T(load() - by)); }
    T operator*=(T by) && { return change(T(load() * by)); }
    T operator/=(T by) && { return change(T(load() / by)); }
    Pointer<T> operator&() const { return {address_, region_}; }

    T load() const {
        if (__builtin_expect(emulator_detect, 0) && !emulator_read(region_, address_, sizeof(T), site_)) return T{};
        return *address_;
    }

private:
    void store(T value) const {
        if (__builtin_expect(emulator_detect, 0) && !emulator_write(region_, address_, sizeof(T), site_)) return;
        *address_ = value;
    }
    T change(T value) const {
        store(value);
        return value;
    }

    T* address_;
    Region* region_;
    Site site_;
};

// An element of a const array: its value, and its address for an asynchronous copy.
template <class T>
class Value {
public:
    Value(const T* address, Region* region, Site site) : address_(address), region_(region) {
        const bool may = !__builtin_expect(emulator_detect, 0) || emulator_read(region, address, sizeof(T), site);
        value_ = may ? *address : T{};
    }
    operator T() const { return value_; }
    Pointer<const T> operator&() const { return {address_, region_}; }

private:
    T value_;
    const T* address_;
    Region* region_;
};

template <class T>
struct Element {
    using Type = Ref<T>;
};
template <class T>
struct Element<const T> {
    using Type = Value<T>;
};

// The type that a template parameter has on a GPU.
template <class T>
struct Plain {
    using Type = T;
};
template <class T>
struct Plain<Ref<T>> {
    using Type = T;
};
template <class T>
struct Plain<Value<T>> {
    using Type = T;
};

template <class T, int Axes, bool InShared>
struct View {
    T* first;
    Region* region;
    int extents[Axes];
    long long strides[Axes];

    typename Element<T>::Type operator()(long long i, EMULATOR_HERE) const {
        static_assert(Axes == 1, "as many indices as axes");
        return {at({i}, site_), region, site_};
    }
    typename Element<T>::Type operator()(long long i, long long j, EMULATOR_HERE) const {
        static_assert(Axes == 2, "as many indices as axes");
        return {at({i, j}, site_), region, site_};
    }
    typename Element<T>::Type operator()(long long i, long long j, long long k, EMULATOR_HERE) const {
        static_assert(Axes == 3, "as many indices as axes");
        return {at({i, j, k}, site_), region, site_};
    }
    typename Element<T>::Type operator()(long long i, long long j, long long k, long long l, EMULATOR_HERE) const {
        static_assert(Axes == 4, "as many indices as axes");
        return {at({i, j, k, l}, site_), region, site_};
    }

    struct Indices {
        long long i[Axes];
    };
    T* at(Indices indices, Site site) const {
        long long place = 0;
        for (int axis = 0; axis < Axes; ++axis) place += indices.i[axis] * strides[axis];
        if (__builtin_expect(emulator_detect, 0)) {
            if (!first) {
                emulator_null(site);
                return nullptr;
            }
            for (int axis = 0; axis < Axes; ++axis) {
                if (Word(indices.i[axis]) >= Word(extents[axis])) {
                    emulator_outside(indices.i[axis], axis, extents[axis], site);
                    return nullptr;
                }
            }
        }
        return first + place;
    }
};

inline Region* region_of(const void* address) {
    return __builtin_expect(emulator_detect, 0) ? emulator_region(address) : nullptr;
}

}  // namespace emulator

template <class T>
using Array1 = emulator::View<T, 1, false>;
template <class T>
using Array2 = emulator::View<T, 2, false>;
template <class T>
using Array3 = emulator::View<T, 3, false>;
template <class T>
using Array4 = emulator::View<T, 4, false>;
template <class T>
using SharedArray1 = emulator::View<T, 1, true>;
template <class T>
using SharedArray2 = emulator::View<T, 2, true>;
template <class T>
using SharedArray3 = emulator::View<T, 3, true>;
template <class T>
using Shared1 = SharedArray1<T>;
template <class T>
using Shared2 = SharedArray2<T>;
template <class T>
using Shared3 = SharedArray3<T>;

template <class T>
inline Array1<T> array(T* first, int n0) {
    return {first, emulator::region_of(first), {n0}, {1}};
}
template <class T>
inline Array2<T> array(T* first, int n0, int n1) {
    return {first, emulator::region_of(first), {n0, n1}, {n1, 1}};
}
template <class T>
inline Array3<T> array(T* first, int n0, int n1, int n2) {
    return {first, emulator::region_of(first), {n0, n1, n2}, {(long long)n1 * n2, n2, 1}};
}
template <class T>
inline Array4<T> array(T* first, int n0, int n1, int n2, int n3) {
    return {first, emulator::region_of(first), {n0, n1, n2, n3}, {(long long)n1 * n2 * n3, (long long)n2 * n3, n3, 1}};
}
template <class T>
inline Array2<T> strided(T* first, int n0, long long s0, int n1, long long s1) {
    return {first, emulator::region_of(first), {n0, n1}, {s0, s1}};
}
template <class T>
inline Array3<T> strided(T* first, int n0, long long s0, int n1, long long s1, int n2, long long s2) {
    return {first, emulator::region_of(first), {n0, n1, n2}, {s0, s1, s2}};
}

// Carves the launch's dynamic shared memory; each array begins at a multiple of 16 bytes.
class Shared {
public:
    template <class T>
    SharedArray1<T> take(int n0, EMULATOR_HERE) {
        SharedArray1<T> view{nullptr, nullptr, {n0}, {1}};
        return carve(view, n0, site_);
    }
    template <class T>
    SharedArray2<T> take(int n0, int n1, EMULATOR_HERE) {
        SharedArray2<T> view{nullptr, nullptr, {n0, n1}, {n1, 1}};
        return carve(view, (long long)n0 * n1, site_);
    }
    template <class T>
    SharedArray3<T> take(int n0, int n1, int n2, EMULATOR_HERE) {
        SharedArray3<T> view{nullptr, nullptr, {n0, n1, n2}, {(long long)n1 * n2, n2, 1}};
        return carve(view, (long long)n0 * n1 * n2, site_);
    }

private:
    template <class T, int Axes>
    emulator::View<T, Axes, true> carve(emulator::View<T, Axes, true> view, long long count, emulator::Site site) {
        const long long bytes = count * (long long)sizeof(T);
        view.first = static_cast<T*>(emulator_shared(used_, bytes, sizeof(T), &view.region, site));
        used_ += (bytes + 15) / 16 * 16;
        return view;
    }

    long long used_ = 0;
};
