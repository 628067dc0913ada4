// A secret in memory: never swapped, never in a core dump, wiped when it goes.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin {

/// Owns one secret (a PIN, a key) in pages of its own, locked (mlock) and left out of core dumps
/// (MADV_DONTDUMP). Movable, not copyable; reading is thread-safe.
class Secret {
  public:
    Secret() = default;
    /// Copies `octets`; the caller wipes its own copy. If the kernel refuses to lock memory (RLIMIT_MEMLOCK)
    /// the secret is kept unlocked, still undumpable.
    explicit Secret(View octets);
    ~Secret();
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;

    [[nodiscard]] View view() const { return {data_, size_}; }
    [[nodiscard]] bool empty() const { return size_ == 0; }

  private:
    void release() noexcept;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t mapped_ = 0;
};

/// Reads a secret from a file: its content without one trailing line end. The file must belong to this user
/// (or root) and be readable by nobody else; otherwise a line that says which chmod mends it.
Result<Secret> read_secret_file(const std::string& path);

/// No core dumps and no debugger for this process (PR_SET_DUMPABLE). Called first in every main that holds
/// secrets.
void forbid_core_dumps();

}  // namespace kokuin
