// Certificate revocation lists (RFC 5280 section 5), as files that somebody keeps up to date.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"

namespace Botan {
class X509_CRL;
}

namespace kokuin::pki {

/// A CRL that could be read; who signed it is judged when it is asked. Immutable, cheap to copy, thread-safe.
class Crl {
  public:
    /// Error (no): no CRL. (Of an indirect one the entries count as the issuer's own: a certificate of
    /// another issuer with the same serial number may be named wrongly, none is missed.)
    static Result<Crl> from_der(View der);

    [[nodiscard]] std::string issuer_text() const;
    [[nodiscard]] WallTime this_update() const;
    /// Until when the next one is promised; nothing if it doesn't say.
    [[nodiscard]] std::optional<WallTime> next_update() const;

    /// Serial numbers of all that it revokes, as INTEGER content octets.
    [[nodiscard]] std::vector<Bytes> serials() const;

    /// Whether it is `issuer`'s: of its name, signed by it, and it may sign CRLs.
    [[nodiscard]] bool is_of(const Certificate& issuer) const;
    /// Why this certificate counts as revoked: "CN=TAA 1 is revoked since 2026-11-26T12:00:00Z (key
    /// compromise)". Nothing if this list doesn't name it, or isn't signed by `issuer` (the certificate's,
    /// which must be allowed to sign CRLs). What it names stays revoked after next_update().
    [[nodiscard]] std::optional<std::string> revokes(const Certificate& certificate,
                                                     const Certificate& issuer) const;
    /// Done if `certificate` isn't revoked at `at` where this list doesn't name it (RFC 5280 6.3.3): signed
    /// by `issuer` (the certificate's) with SHA-256 or better, complete, for certificates like this one, and
    /// `at` from thisUpdate to nextUpdate, or so near that the CA's clock may be off (`tolerance`). Error
    /// (no) that says why not.
    [[nodiscard]] Done covers(const Certificate& certificate, const Certificate& issuer, WallTime at,
                              nanoseconds tolerance = std::chrono::minutes(5)) const;

  private:
    explicit Crl(std::shared_ptr<const Botan::X509_CRL> botan) : botan_(std::move(botan)) {}
    std::shared_ptr<const Botan::X509_CRL> botan_;
    WallTime this_update_{};
    std::optional<WallTime> next_update_{};
};

using Crls = std::vector<Crl>;

/// The CRLs of a file: one in DER, or any number in PEM. Error (usage): there is no such file; (environment):
/// it can't be read or holds something else.
Result<Crls> load_crls(const std::string& path);

/// The first certificate of a path (validate_path) that one of these lists revokes, in words; nothing if none
/// is. The anchor is trusted as it is. Pure.
std::optional<std::string> find_revoked(const std::vector<Certificate>& path, const Crls& crls);

/// The first certificate of a path, the anchor apart, whose issuer has signed none of these lists: nobody
/// knows whether it is revoked. By its name; nothing if all are covered. Pure.
std::optional<std::string> find_uncovered(const std::vector<Certificate>& path, const Crls& crls);

/// Files that are read again when they have changed. Thread-safe.
class CrlFiles {
  public:
    /// Reads all of them; the error is the first one's.
    static Result<std::unique_ptr<CrlFiles>> open(std::vector<std::string> paths);

    /// What they say now. A file that can't be read any more goes on saying what it said, and `trouble` says
    /// why. Never null; the same pointer as long as nothing has changed.
    [[nodiscard]] std::shared_ptr<const Crls> current();
    /// What somebody should mend, a line each: unreadable files, lists whose next update is overdue at `now`.
    [[nodiscard]] std::vector<std::string> troubles(WallTime now);

  private:
    /// What tells a file from its next version.
    struct Stamp {
        std::int64_t modified_ns = 0;
        std::int64_t size = -1;
        std::uint64_t inode = 0;
        bool operator==(const Stamp&) const = default;
    };
    struct File {
        std::string path;
        Stamp stamp;
        Crls crls;
        std::string trouble;
    };
    static Stamp stamp_of(const std::string& path);

    std::mutex mutex_;
    std::vector<File> files_;
    std::shared_ptr<const Crls> all_;
};

}  // namespace kokuin::pki
