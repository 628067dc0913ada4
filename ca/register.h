// What this CA has done, rebuilt from its archive: the only memory there is (CA-4).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ca/profile.h"
#include "pki/certificate.h"
#include "pki/reason.h"
#include "store/reader.h"
#include "store/record.h"

namespace kokuin::ca {

struct Revocation {
    WallTime at;  ///< whole seconds: as CRLs and OCSP say it
    pki::Reason reason = pki::Reason::unspecified;
    std::string why;
    std::string by;
};

/// A certificate that was issued, with what became of it.
struct Issued {
    pki::Certificate certificate;
    Profile profile = Profile::tsu;
    std::string serial;  ///< hex, lower case, without leading zeros
    WallTime at;
    std::string why;
    std::string by;
    std::string successor_of;  ///< serial, or empty
    std::optional<Revocation> revoked;

    /// Neither revoked nor over.
    [[nodiscard]] bool living(WallTime now) const {
        return !revoked && now <= certificate.not_after() + seconds(1);
    }
    [[nodiscard]] bool is_ca() const { return profile == Profile::root || profile == Profile::issuing; }
};

/// A value; what is in it was checked when it was read.
struct Register {
    std::vector<Issued> issued;  ///< in the order of issuance
    /// Number of the newest CRL of each CA; 0: none yet.
    std::map<Profile, std::int64_t> crl_numbers;
    std::optional<WallTime> published;  ///< the last publication
    std::optional<WallTime> last;       ///< the newest record
    store::RecordNumber records = 0;    ///< how many there are
    Bytes digest;  ///< SHA-256 over all of them, chained: digest(n+1) = SHA-256(digest(n) ‖ record n),
                   ///< digest(0) empty

    [[nodiscard]] const Issued* find(const std::string& serial) const;
    /// The CA's own certificates; null before they are made.
    [[nodiscard]] const Issued* root() const { return of(Profile::root); }
    [[nodiscard]] const Issued* issuing() const { return of(Profile::issuing); }
    /// Who issued it: the root for both CAs.
    [[nodiscard]] const Issued& issuer_of(const Issued& one) const {
        return one.is_ca() ? *root() : *issuing();
    }

  private:
    [[nodiscard]] const Issued* of(Profile profile) const;
};

/// Where it is read from: Archive or ArchiveReader.
struct Source {
    std::function<Done(const store::EventQuery&, const store::Visitor&)> events;
    std::function<Result<Bytes>(const store::BlobId&, const std::string& segment)> blob;
    std::string archive_id;
};
/// Reads all records and checks them as a whole: numbers without a gap, each certificate signed by its
/// issuer, each revocation of something that was issued, CRLs numbered one after the other, signed, and none
/// naming a certificate that the records don't, and the signature that each publication has put under all
/// records before it. Error (environment) that names the record that doesn't fit: somebody has changed the
/// archive. What nobody can see here is that its last records, after a publication, are gone.
Result<Register> read_register(const Source& source);

/// What a publication signs: the archive's id, how many records there were, and their digest.
Bytes sealed_text(const std::string& archive_id, store::RecordNumber records, View digest);
/// The digest after one more record.
Bytes next_digest(View digest, View record);

/// The records that read_register() understands.
store::Event issued_event(const Issued& issued, const std::string& account);
store::Event revoked_event(const Issued& issued, const Revocation& revocation, const std::string& account);

/// "1f3a…": a serial number as it is written everywhere here; also reads what people type: upper case,
/// colons, leading zeros. Empty if it is none.
std::string serial_text(View content);
std::string serial_text_of(const std::string& typed);

}  // namespace kokuin::ca
