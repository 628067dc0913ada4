// Certification paths (RFC 5280 section 6).
#pragma once

#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"

namespace kokuin::pki {

/// What a path may be made of.
struct PathRules {
    /// Also accept SHA-1 signatures and RSA keys below 2048 bits (1024 at least): foreign material of former
    /// times.
    bool tolerate_weak = false;
};

/// Finds a path from `leaf` through any of `intermediates` to one of `anchors` such that every certificate in
/// it is valid at `at`, signed by the next one, and allowed to do so (basic constraints, key usage, name and
/// path constraints, no unknown critical extension). The path found is returned, leaf first, anchor last.
/// Anchors are self-signed certificates and trusted as such; a leaf that is itself an anchor is a path of
/// one. Order and surplus of `intermediates` don't matter. The leaf's extended key usage is not judged here
/// (Certificate::is_time_stamping_only); revocation neither (find_revoked). Error::Kind::no says in words
/// which certificate failed why. Pure and thread-safe; no network.
Result<std::vector<Certificate>> validate_path(const Certificate& leaf,
                                               const std::vector<Certificate>& intermediates,
                                               const std::vector<Certificate>& anchors, WallTime at,
                                               const PathRules& rules = {});

/// True if `certificate` names `issuer` as its issuer and its key has signed it, with SHA-256 or better. One
/// step of a path and nothing else: neither dates nor whether `issuer` may.
bool is_signed_by(const Certificate& certificate, const Certificate& issuer);

}  // namespace kokuin::pki
