// tsaudit verify, prove, check-proof.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "base/result.h"

namespace kokuin::audit {

/// What their command lines say, as text.
struct VerifyArguments {
    std::string archive;
    bool json = false;
    std::string trust;      ///< file; empty: none
    std::string since;      ///< file with the checkpoint of an earlier verification; empty: all is looked at
    std::string save;       ///< where to write the newest checkpoint if all is well; empty: nowhere
    unsigned threads = 0;   ///< 0: all cores
    bool progress = false;  ///< to `err`
    std::string serial;     ///< prove
    std::string proof;      ///< check-proof: the file; prove: where to write it, empty for `out`
    std::string presented;  ///< check-proof: the token that it must be of; empty: any
    std::string token;      ///< check-proof: where to write the token, a new file; empty: nowhere
};

/// Error (no), told after everything else: something isn't as it should be.
Done verify_archive(const VerifyArguments& arguments, std::ostream& out, std::ostream& err);
Done write_proof(const VerifyArguments& arguments, std::ostream& out);
Done check_proof_file(const VerifyArguments& arguments, std::ostream& out);

}  // namespace kokuin::audit
