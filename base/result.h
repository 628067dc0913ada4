// Expected outcomes are values: a function that can be told "no" returns a Result. Exceptions are for faults
// of the program and for what a library throws, and are turned into values where they enter.
#pragma once

#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace kokuin {

/// What an operator is told. `text` is one line: what, where, what to do; no secret in it. It is for logs and
/// terminals, never for the wire.
struct Error {
    /// Whose move it is; programs turn it into their exit code (exit_code below).
    enum class Kind {
        no,           ///< the answer is no: not found, verification failed
        usage,        ///< wrong usage, input or configuration
        environment,  ///< HSM, disk, network, permissions
    };
    Kind kind = Kind::environment;
    std::string text;

    static Error no(std::string text) { return {Kind::no, std::move(text)}; }
    static Error usage(std::string text) { return {Kind::usage, std::move(text)}; }
    static Error environment(std::string text) { return {Kind::environment, std::move(text)}; }
    /// The same error, with where it happened in front: "WHERE: text".
    Error in(const std::string& where) && { return {kind, where + ": " + text}; }
};

/// 1 the answer is no · 2 wrong usage or configuration · 3 the environment failed. (0 is success.)
constexpr int exit_code(Error::Kind kind) {
    switch (kind) {
        case Error::Kind::no:
            return 1;
        case Error::Kind::usage:
            return 2;
        case Error::Kind::environment:
            return 3;
    }
    return 3;
}

/// Either a value of type T or the reason why there is none. Asking for the one that isn't there ends the
/// process: a caller that doesn't look is a defect, not an outcome.
template <typename T, typename E = Error>
class [[nodiscard]] Result {
  public:
    Result(T value)
        : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
    Result(E error)
        : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& value() & { return check(std::get_if<0>(&state_)); }
    const T& value() const& { return check(std::get_if<0>(&state_)); }
    T&& value() && { return std::move(check(std::get_if<0>(&state_))); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    E& error() & { return check(std::get_if<1>(&state_)); }
    const E& error() const& { return check(std::get_if<1>(&state_)); }
    E&& error() && { return std::move(check(std::get_if<1>(&state_))); }

  private:
    template <typename P>
    static P& check(P* pointer) {
        if (!pointer) std::abort();
        return *pointer;
    }
    std::variant<T, E> state_;
};

/// Done, or the reason why not.
template <typename E>
class [[nodiscard]] Result<void, E> {
  public:
    Result() = default;
    Result(E error) : error_(std::move(error)), ok_(false) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool ok() const { return ok_; }
    explicit operator bool() const { return ok_; }
    const E& error() const& { return ok_ ? std::abort(), error_ : error_; }
    E&& error() && { return ok_ ? std::abort(), std::move(error_) : std::move(error_); }

  private:
    E error_{};
    bool ok_ = true;
};

using Done = Result<void, Error>;

}  // namespace kokuin
