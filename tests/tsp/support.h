// What the tests of tokens share: a PKI of the stock openssl, a software key that stands for the HSM (another
// room), and the command line tools that judge what we make.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "pki/certificate.h"
#include "tsa/protocol/token.h"

namespace support {

using kokuin::Bytes;
using kokuin::View;

struct Run {
    int exit = -1;
    std::string output;  ///< stdout and stderr
};

/// A folder with root.pem, ca.pem, tsu.pem and their keys, made once for the whole test program.
class Pki {
  public:
    static const Pki& instance();

    [[nodiscard]] const kokuin::pki::Certificate& root() const { return certificates_[0]; }
    [[nodiscard]] const kokuin::pki::Certificate& ca() const { return certificates_[1]; }
    [[nodiscard]] const kokuin::pki::Certificate& tsu() const { return certificates_[2]; }
    /// RSA PKCS#1 v1.5 with SHA-512 by NAME.key.
    [[nodiscard]] Bytes sign(View message, const std::string& name = "tsu") const;

    /// Runs a command in the folder.
    [[nodiscard]] Run run(const std::string& command) const;
    /// As run(); the command must succeed.
    std::string must(const std::string& command) const;
    void write(const std::string& name, View octets) const;
    [[nodiscard]] Bytes read(const std::string& name) const;
    /// Another certificate under ca.pem (NAME.pem, NAME.key).
    [[nodiscard]] kokuin::pki::Certificate issue(const std::string& name,
                                                 const std::string& extensions) const;

    ~Pki();
    Pki(const Pki&) = delete;
    Pki& operator=(const Pki&) = delete;

  private:
    Pki();
    std::string folder_;
    std::vector<kokuin::pki::Certificate> certificates_;
};

/// An attribute certificate (RFC 5755) with this serial; its signature is none. The shape is right, the
/// content made up: tokens carry it unread.
Bytes attribute_certificate(std::int64_t serial);

/// Octets from hexadecimal with blanks.
Bytes hex(const std::string& text);

/// A TSTInfo as tsad would make it for this imprint (SHA-256), and the token of it.
kokuin::tsp::TstInfo tst_info(Bytes imprint);
Bytes token(const kokuin::tsp::TokenProfile& profile, const kokuin::tsp::TstInfo& info);

/// Calls `use` with every proper prefix of `whole`, every change of one octet (all 255 values), and with
/// octets after it.
template <typename Use>
void maltreat(const Bytes& whole, const Use& use) {
    for (std::size_t length = 0; length < whole.size(); ++length)
        use(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    for (std::size_t i = 0; i < whole.size(); ++i) {
        Bytes changed = whole;
        for (unsigned value = 0; value < 256; ++value) {
            if (value == whole[i]) continue;
            changed[i] = static_cast<std::uint8_t>(value);
            use(changed);
        }
    }
    for (const unsigned extra : {0x00U, 0x05U, 0x30U, 0xffU}) {
        Bytes longer = whole;
        longer.push_back(static_cast<std::uint8_t>(extra));
        use(longer);
    }
}

}  // namespace support
