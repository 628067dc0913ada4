#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kokuin::load {

using Imprint = std::array<unsigned char, 32>;

// One HTTP request with an RFC 3161 query (SHA-256, 8-octet nonce) in it, built once; next() only writes a
// fresh random imprint and nonce into their places, so that a request costs next to nothing. Not thread-safe.
class Query {
  public:
    Query(std::string_view host, std::string_view path, bool keep_alive, bool cert_req);

    // The octets to send, with an imprint and a nonce that no earlier call had. Valid until the next call.
    std::string_view next();
    const Imprint& imprint() const { return imprint_; }

  private:
    std::string text_;
    std::size_t imprint_at_ = 0;
    std::size_t nonce_at_ = 0;
    Imprint imprint_{};
};

// What a TimeStampResp says, read from its first octets only.
enum class Verdict { granted, refused, malformed };
struct Reply {
    Verdict verdict = Verdict::malformed;
    int fail_info = -1;      // the bit named by PKIFailureInfo when refused; -1: none
    std::string_view token;  // when granted: the ContentInfo, inside the given body
};
Reply read_reply(std::string_view body);
const char* fail_info_name(int bit);

}  // namespace kokuin::load
