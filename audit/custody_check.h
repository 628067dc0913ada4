// Who holds the PINs of tokens (KEY-2), and whether what custodians are said to have agreed to was signed by
// them: by the public keys that the archive has of them since their ceremony.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "audit/agreements.h"
#include "audit/problem.h"
#include "store/reader.h"

namespace kokuin::audit {

/// The custodians of one token.
struct Custody {
    std::string token;       ///< its label
    std::string custodians;  ///< "2 of 3 custodians (…)": those in force
    std::string ceremony;
    unsigned generation = 1;
    /// The record with which this ceremony began. Nobody but the operator says who they were then; all that
    /// came later they have signed.
    store::RecordNumber begun = 0;
    /// That others had held the PINs before, who haven't agreed to this ceremony.
    bool anew = false;
};

struct CustodyFindings {
    std::vector<Custody> tokens;  ///< each whose PINs are shared
    std::vector<Alone> alone;
};

/// Events "custody.shared", ".resharing", ".activated" and ".agreed" of the whole archive: each approval is
/// signed by so many custodians in force as it takes, over what its event says; custodians are replaced only
/// as those before have agreed; and what they are said to have agreed to they have (agreements.h). Where that
/// isn't so: problem "custody". What was removed after its time, by a record below `covered`, isn't asked
/// for. Only records below `end`: those that come while it looks would be met in part.
CustodyFindings check_custody(store::ArchiveReader& reader, store::RecordNumber end, std::uint64_t covered,
                              std::vector<Problem>& problems);

}  // namespace kokuin::audit
