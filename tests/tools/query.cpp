#include "tests/tools/query.h"

#include <sys/random.h>
#include <cstring>

namespace kokuin::load {
namespace {

// splitmix64 over a seed from the kernel: distinct, not secret.
std::uint64_t random64() {
    static std::uint64_t state = [] {
        std::uint64_t seed = 0;
        while (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) {
        }
        return seed;
    }();
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

struct Element {
    unsigned char tag = 0;
    std::string_view content;
    std::string_view whole;
};

// The element at the start of `in`, which is moved behind it. Lengths of up to three octets.
bool take(std::string_view& in, Element& out) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(in[i]); };
    if (in.size() < 2) return false;
    std::size_t length = at(1);
    std::size_t head = 2;
    if (length >= 0x80) {
        const std::size_t octets = length & 0x7f;
        if (octets < 1 || octets > 3 || in.size() < 2 + octets) return false;
        length = 0;
        for (std::size_t i = 0; i < octets; ++i) length = length << 8 | at(2 + i);
        head += octets;
    }
    if (in.size() - head < length) return false;
    out = {at(0), in.substr(head, length), in.substr(0, head + length)};
    in.remove_prefix(head + length);
    return true;
}

}  // namespace

Query::Query(std::string_view host, std::string_view path, bool keep_alive, bool cert_req) {
    // TimeStampReq ::= SEQUENCE { version 1, MessageImprint { AlgorithmIdentifier { sha256, NULL }, OCTET
    // STRING 32 },
    //                             nonce INTEGER of 8 octets, certReq TRUE? }
    static const unsigned char head[] = {0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86,
                                         0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    std::string der(reinterpret_cast<const char*>(head), sizeof head);
    const std::size_t imprint_at = der.size();
    der.append(32, '\0');
    der.append("\x02\x08", 2);
    const std::size_t nonce_at = der.size();
    der.append(8, '\0');
    if (cert_req) der.append("\x01\x01\xff", 3);
    text_.append("POST ").append(path).append(" HTTP/1.1\r\nHost: ").append(host);
    text_.append("\r\nContent-Type: application/timestamp-query\r\n");
    if (!keep_alive) text_.append("Connection: close\r\n");
    text_.append("Content-Length: ").append(std::to_string(der.size() + 2)).append("\r\n\r\n");
    text_.push_back(0x30);
    text_.push_back(static_cast<char>(der.size()));
    imprint_at_ = text_.size() + imprint_at;
    nonce_at_ = text_.size() + nonce_at;
    text_.append(der);
}

std::string_view Query::next() {
    for (std::size_t i = 0; i < imprint_.size(); i += 8) {
        const std::uint64_t word = random64();
        std::memcpy(imprint_.data() + i, &word, 8);
    }
    std::uint64_t nonce = random64();
    std::memcpy(text_.data() + imprint_at_, imprint_.data(), imprint_.size());
    std::memcpy(text_.data() + nonce_at_, &nonce, 8);
    // A positive INTEGER of exactly eight octets stays minimal DER.
    text_[nonce_at_] = static_cast<char>(0x40 | (text_[nonce_at_] & 0x3f));
    return text_;
}

Reply read_reply(std::string_view body) {
    Reply reply;
    Element response, info, status, element;
    if (!take(body, response) || response.tag != 0x30 || !body.empty()) return reply;
    std::string_view rest = response.content;
    if (!take(rest, info) || info.tag != 0x30) return reply;
    std::string_view inside = info.content;
    if (!take(inside, status) || status.tag != 0x02 || status.content.size() != 1) return reply;
    const int code = static_cast<unsigned char>(status.content[0]);
    if (code <= 1) {  // granted, grantedWithMods
        if (take(rest, element) && element.tag == 0x30 && rest.empty()) {
            reply.verdict = Verdict::granted;
            reply.token = element.whole;
        }
        return reply;
    }
    if (!rest.empty()) return reply;
    reply.verdict = Verdict::refused;
    while (take(inside, element)) {
        if (element.tag != 0x03) continue;
        for (std::size_t i = 1; i < element.content.size(); ++i)
            for (int bit = 0; bit < 8; ++bit)
                if (static_cast<unsigned char>(element.content[i]) & (0x80 >> bit))
                    reply.fail_info = static_cast<int>(i - 1) * 8 + bit;
    }
    return reply;
}

const char* fail_info_name(int bit) {
    switch (bit) {
        case 0:
            return "badAlg";
        case 2:
            return "badRequest";
        case 5:
            return "badDataFormat";
        case 14:
            return "timeNotAvailable";
        case 15:
            return "unacceptedPolicy";
        case 16:
            return "unacceptedExtension";
        case 17:
            return "addInfoNotAvailable";
        case 25:
            return "systemFailure";
        default:
            return "none";
    }
}

}  // namespace kokuin::load
