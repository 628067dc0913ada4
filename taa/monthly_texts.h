// Every word of the monthly report in both languages, in one table.
#pragma once

#include <string_view>

#include "base/page/language.h"
#include "taa/monthly_report.h"

namespace kokuin::taa {

using page::Language;

/// What the report says; the texts stand in monthly_texts.cpp in this order.
enum class Word {
    title,
    interim,
    tsa,
    taa,
    period,
    period_from,
    period_to,
    known_until,
    made,
    jst,
    time_faults,
    checkpoint,
    audits_made,
    summary,
    remarks,
    no_remarks,
    own_clock,
    no_reference,
    comparisons,
    measurements,
    offset_min,
    offset_max,
    offset_last,
    uncertainty_last,
    unproved_spans,
    downtimes,
    no_downtimes,
    stopped_in_order,
    stopped_without_order,
    tsu,
    distinguished_name,
    certificate,
    valid_until,
    unknown,
    audit_limit,
    policy,
    offset_limit,
    delay_limit,
    statistics,
    minimum,
    median,
    maximum,
    offset,
    delay,
    no_measurement,
    outcomes,
    outcome,
    number,
    plot,
    plot_about,
    stops,
    no_stops,
    resumptions,
    stopped_since,
    outages,
    no_outages,
    from,
    to,
    lasting,
    promised,
    failed_audits,
    no_failed_audits,
    reason,
    all_audits,
    no_audits,
    time,
    cause,
    verdict,
    tac,
    record,
    kind,
    notes,
    count,  // not a word: how many there are
};
std::string_view text(Word word, Language language);

/// The words of outcomes, causes and verdicts, as report.h has them; one that is unknown stays as it is.
std::string_view translated(std::string_view word, Language language);

/// A remark as a sentence.
std::string sentence(const Remark& remark, Language language);

}  // namespace kokuin::taa
