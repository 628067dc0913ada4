#include "taa/monthly_report.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace kokuin::taa {

std::size_t MonthlyTsu::time_faults() const {
    return static_cast<std::size_t>(
        std::count_if(audits.begin(), audits.end(), [](const MonthlyAudit& audit) { return audit.stop; }));
}

std::size_t MonthlyTsu::attempts() const {
    std::size_t all = 0;
    for (const auto& [outcome, count] : outcomes) all += count;
    return all;
}

std::size_t MonthlyReport::time_faults() const {
    std::size_t all = 0;
    for (const auto& tsu : tsus) all += tsu.time_faults();
    return all;
}

std::string_view name(Remark::Code code) {
    switch (code) {
        case Remark::Code::interim:
            return "interim";
        case Remark::Code::no_reference:
            return "no-reference";
        case Remark::Code::no_audit:
            return "no-audit";
        case Remark::Code::no_certificate:
            return "no-certificate";
        case Remark::Code::certificate_changed:
            return "certificate-changed";
        case Remark::Code::limits_changed:
            return "limits-changed";
        case Remark::Code::undelivered:
            return "undelivered";
        case Remark::Code::taa_certificate_changed:
            return "taa-certificate-changed";
        case Remark::Code::unrecorded_stop:
            return "unrecorded-stop";
        case Remark::Code::admission:
            return "admission";
    }
    return "unknown";
}

}  // namespace kokuin::taa
