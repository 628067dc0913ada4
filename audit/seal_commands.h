// tsaudit evidence, check-evidence.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.h"

namespace kokuin::audit {

struct SealArguments {
    std::string archive;
    bool json = false;
    std::string serial;  ///< of a token, hex; empty: `month`
    std::string month;   ///< "2026-10": of its head
    std::string out;     ///< evidence: where to write the record (default: stdout)
    std::string head;    ///< evidence of a month: where to write what it is about
    std::string record;  ///< check-evidence: the EvidenceRecord
    std::string object;  ///< check-evidence: what it is about: a token (or a TimeStampResp), or any file
    std::string trust;   ///< check-evidence
};

Done write_evidence(const SealArguments& arguments, std::ostream& out);
/// Error (no), told after everything else: it doesn't prove it.
Done check_evidence(const SealArguments& arguments, std::ostream& out);

}  // namespace kokuin::audit
