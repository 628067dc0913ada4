#pragma once

#include <cstdint>
#include <istream>
#include <vector>

namespace kokuin::load {

// One record of kokuin-load's --save file (the format is described in load.cpp).
struct Record {
    unsigned kind = 0;          // 0 granted, 1 refused
    std::int64_t sent = 0;      // ns since 1970
    std::int64_t received = 0;  // ns since 1970
    std::vector<unsigned char> imprint;
    std::vector<unsigned char> body;  // the token, or the whole refusal
};

// The next record; false at the end, or at a record that isn't complete.
inline bool read_record(std::istream& from, Record& record) {
    const auto integer = [&from](int octets, std::uint64_t& value) {
        value = 0;
        for (; octets > 0; --octets) {
            const int octet = from.get();
            if (octet == std::istream::traits_type::eof()) return false;
            value = value << 8 | static_cast<std::uint64_t>(octet);
        }
        return true;
    };
    const auto octets = [&from](std::size_t size, std::vector<unsigned char>& into) {
        into.resize(size);
        return static_cast<bool>(
            from.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(size)));
    };
    constexpr std::uint64_t head = 1 + 8 + 8 + 32;
    std::uint64_t length = 0, kind = 0, sent = 0, received = 0;
    if (!integer(4, length) || length < head || !integer(1, kind) || !integer(8, sent) ||
        !integer(8, received))
        return false;
    record.kind = static_cast<unsigned>(kind);
    record.sent = static_cast<std::int64_t>(sent);
    record.received = static_cast<std::int64_t>(received);
    return octets(32, record.imprint) && octets(static_cast<std::size_t>(length - head), record.body);
}

}  // namespace kokuin::load
