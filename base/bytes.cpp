#include "base/bytes.h"

#include <botan/base64.h>
#include <botan/exceptn.h>
#include <botan/hex.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace kokuin {

std::string to_hex(View octets) {
    return Botan::hex_encode(octets.data(), octets.size(), false);
}

std::optional<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    Bytes out;
    out.reserve(text.size() / 2);
    const auto digit = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = digit(text[i]);
        const int low = digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        out.push_back(static_cast<std::uint8_t>(high * 16 + low));
    }
    return out;
}

std::string to_base64(View octets) {
    return Botan::base64_encode(octets.data(), octets.size());
}

std::optional<Bytes> from_base64(std::string_view text) {
    try {
        const auto decoded = Botan::base64_decode(text.data(), text.size(), false);
        Bytes out(decoded.begin(), decoded.end());
        // Botan takes some forms that to_base64 never writes; one text for one value.
        if (to_base64(out) != text) return std::nullopt;
        return out;
    } catch (const Botan::Exception&) {
        return std::nullopt;
    }
}

View as_view(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string as_text(View octets) {
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

void append(Bytes& to, View more) {
    to.insert(to.end(), more.begin(), more.end());
}

bool equal(View a, View b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

bool equal_constant_time(View a, View b) {
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const volatile unsigned bits = static_cast<unsigned>(a[i]) ^ b[i];
        difference |= bits;
    }
    return difference == 0;
}

Bytes random_octets(std::size_t count) {
    Bytes out(count);
    std::size_t have = 0;
    while (have < count) {
        const ssize_t got = getrandom(out.data() + have, count - have, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            throw std::system_error(errno, std::generic_category(), "getrandom");
        }
        have += static_cast<std::size_t>(got);
    }
    return out;
}

}  // namespace kokuin
