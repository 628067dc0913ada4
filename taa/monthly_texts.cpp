#include "taa/monthly_texts.h"

#include <array>

#include "base/page/words.h"

namespace kokuin::taa {
namespace {

using page::Named;
using page::Pair;

using Said = page::Said<Word>;

// The Japanese terms are those of the field's policies (時刻監査規格, 時刻認証機能停止命令, 時刻異常, …).
constexpr std::array words{
    Said{Word::title,
         {"Monthly report on time distribution and time audits", "時刻配信・時刻監査 月次報告書"}},
    Said{Word::interim, {"interim: the month is not over", "中間（対象月は終了していません）"}},
    Said{Word::tsa, {"Time-stamping authority (TSA)", "時刻認証局（TSA）"}},
    Said{Word::taa, {"Time assessment authority (TAA)", "時刻配信局（TAA）"}},
    Said{Word::period, {"Period (UTC)", "対象期間（UTC）"}},
    Said{Word::period_from, {"from", "開始"}},
    Said{Word::period_to, {"to, exclusive", "終了（当時刻を含まない）"}},
    Said{Word::known_until, {"known until", "集計時点"}},
    Said{Word::made, {"Made", "作成日時"}},
    Said{Word::jst, {"JST", "日本標準時"}},
    Said{Word::time_faults, {"Time faults", "時刻異常件数"}},
    Said{Word::checkpoint,
         {"Signed head of the TAA's records (checkpoint)", "記録全体の署名付きチェックポイント"}},
    Said{Word::audits_made, {"Time audits", "時刻監査件数"}},
    Said{Word::summary, {"Summary", "概要"}},
    Said{Word::remarks, {"Remarks", "備考"}},
    Said{Word::no_remarks, {"None.", "特記事項はありません。"}},
    Said{Word::own_clock, {"Accuracy of the TAA's own clock", "時刻配信局の時計の精度（UTCとの比較）"}},
    Said{Word::no_reference,
         {"No independent reference was recorded in this month.",
          "本月は独立した参照時刻との比較の記録がありません。"}},
    Said{Word::comparisons, {"Comparisons recorded", "比較記録数"}},
    Said{Word::measurements, {"Measurements", "測定回数"}},
    Said{Word::offset_min, {"Least offset", "時刻差の最小値"}},
    Said{Word::offset_max, {"Largest offset", "時刻差の最大値"}},
    Said{Word::offset_last, {"Last offset", "時刻差の最終値"}},
    Said{Word::uncertainty_last, {"Uncertainty of the last", "最終値の不確かさ"}},
    Said{Word::unproved_spans,
         {"Spans in which the TAA's clock could not be proved",
          "時刻配信局の時計の精度を確認できなかった期間"}},
    Said{Word::downtimes, {"Outages of the TAA", "時刻配信局の停止"}},
    Said{Word::no_downtimes, {"The TAA was not down.", "時刻配信局の停止はありませんでした。"}},
    Said{Word::stopped_in_order, {"stopped in good order", "正常停止"}},
    Said{Word::stopped_without_order,
         {"ended without good order; from: last record", "異常終了（開始は最後の記録の時刻）"}},
    Said{Word::tsu, {"Time-stamping unit (TSU)", "タイムスタンプユニット（TSU）"}},
    Said{Word::distinguished_name, {"Distinguished name", "識別名（DN）"}},
    Said{Word::certificate, {"Certificate, SHA-256", "証明書のSHA-256"}},
    Said{Word::valid_until, {"valid until", "有効期限"}},
    Said{Word::unknown, {"unknown", "不明"}},
    Said{Word::audit_limit, {"Audit limits", "時刻監査規格"}},
    Said{Word::policy, {"Time audit policy", "時刻監査証明書ポリシー"}},
    Said{Word::offset_limit, {"offset", "オフセット"}},
    Said{Word::delay_limit, {"network delay", "ネットワーク遅延"}},
    Said{Word::statistics, {"Measured values", "測定値"}},
    Said{Word::minimum, {"Minimum", "最小"}},
    Said{Word::median, {"Median", "中央値"}},
    Said{Word::maximum, {"Maximum", "最大"}},
    Said{Word::offset, {"Offset (TSU − TAA)", "オフセット（TSU − TAA）"}},
    Said{Word::delay, {"Network delay", "ネットワーク遅延"}},
    Said{Word::no_measurement, {"No measurement in this month.", "本月の測定はありません。"}},
    Said{Word::outcomes, {"Audits by outcome", "結果別の時刻監査件数"}},
    Said{Word::outcome, {"Outcome", "結果"}},
    Said{Word::number, {"Number", "件数"}},
    Said{Word::plot, {"Offsets over the month", "オフセットの推移"}},
    Said{Word::plot_about,
         {"Logarithmic scale beyond 1 ms. Dashed: the audit limit. Grey: no audit. Large: orders to stop.",
          "1ミリ秒を超える部分は対数目盛。破線は時刻監査規格、灰色は監査のない期間、大きい点は停止命令。"}},
    Said{Word::stops, {"Orders to stop", "時刻認証機能停止命令"}},
    Said{Word::no_stops, {"No order to stop was given.", "時刻認証機能停止命令の発行はありませんでした。"}},
    Said{Word::resumptions, {"Resumptions", "時刻認証機能の再開"}},
    Said{Word::stopped_since, {"stopped since", "停止命令の時刻"}},
    Said{Word::outages,
         {"Outages: no audit for longer than promised", "時刻監査の中断（規定の間隔を超えたもの）"}},
    Said{Word::no_outages, {"There was none.", "ありませんでした。"}},
    Said{Word::from, {"From", "開始"}},
    Said{Word::to, {"To", "終了"}},
    Said{Word::lasting, {"not over", "継続中"}},
    Said{Word::promised, {"Promised at most", "規定の間隔"}},
    Said{Word::failed_audits, {"Audits that failed", "失敗した時刻監査"}},
    Said{Word::no_failed_audits, {"No audit failed.", "失敗した時刻監査はありませんでした。"}},
    Said{Word::reason, {"Reason", "理由"}},
    Said{Word::all_audits, {"All audits that measured the clock", "時刻監査の一覧"}},
    Said{Word::no_audits, {"None.", "ありません。"}},
    Said{Word::time, {"Time (UTC)", "時刻（UTC）"}},
    Said{Word::cause, {"Cause", "契機"}},
    Said{Word::verdict, {"TSU's verdict", "TSUの応答"}},
    Said{Word::tac, {"TAC", "時刻監査証明書（TAC）"}},
    Said{Word::record, {"Record", "記録番号"}},
    Said{Word::kind, {"Kind", "種別"}},
    Said{Word::notes,
         {"All times are UTC. An offset is TSU − TAA: positive when the TSU is ahead. The median of an even "
          "number is "
          "the mean of the two in the middle. Times of audits are those of their records in the TAA's "
          "archive.",
          "時刻はすべてUTCです。オフセットはTSU − "
          "TAA（正はTSUの進み）です。偶数個の中央値は中央の2値の平均です。監査の"
          "時刻は時刻配信局のアーカイブへの記録時刻です。"}},
};

static_assert(page::in_order(words));

constexpr std::array names{
    Named{"good", {"good", "正常"}},
    Named{"stop", {"order to stop", "停止命令"}},
    Named{"unreachable", {"unreachable", "接続不能"}},
    Named{"bad-answer", {"bad answer", "応答不正"}},
    Named{"other-certificate", {"other certificate", "証明書不一致"}},
    Named{"delay-too-large", {"delay too large", "遅延超過"}},
    Named{"not-signed", {"not signed", "署名不能"}},
    Named{"not-recorded", {"not recorded", "記録不能"}},
    Named{"not-admitted", {"not admitted", "接続未承認"}},
    Named{"admitted", {"admitted", "承認"}},
    Named{"reviewed", {"reviewed", "審査"}},
    Named{"suspended", {"suspended", "停止"}},
    Named{"resumed", {"resumed", "再開"}},
    Named{"removed", {"removed", "解除"}},
    Named{"own-clock", {"the TAA's own clock unproved", "TAA時計未確認"}},
    Named{"schedule", {"schedule", "定期"}},
    Named{"request", {"request", "TSUの要求"}},
    Named{"operator", {"operator", "運用者"}},
    Named{"accepted", {"accepted", "受理"}},
    Named{"stop-accepted", {"stop accepted", "停止受理"}},
    Named{"refused", {"refused", "拒否"}},
    Named{"none", {"no answer", "応答なし"}},
};

Pair remark(Remark::Code code) {
    switch (code) {
        case Remark::Code::interim:
            return {"This is an interim report: the month is not over. It is not kept in the archive.",
                    "本報告書は中間報告です。対象月は終了しておらず、アーカイブには保管されません。"};
        case Remark::Code::no_reference:
            return {"No independent reference of the TAA's own clock was recorded.",
                    "時刻配信局の時計について、独立した参照時刻の記録がありません。"};
        case Remark::Code::no_audit:
            return {"No audit was tried.", "時刻監査は実施されませんでした。"};
        case Remark::Code::no_certificate:
            return {"Its certificate cannot be read.", "証明書を読み取れません。"};
        case Remark::Code::certificate_changed:
            return {"It changed its certificate.", "証明書が変更されました。"};
        case Remark::Code::limits_changed:
            return {"Its audit limits were changed.", "時刻監査規格が変更されました。"};
        case Remark::Code::undelivered:
            return {"TACs or orders to stop that it refused or did not answer: ",
                    "TSUが拒否した、または応答しなかった時刻監査証明書・停止命令の件数: "};
        case Remark::Code::taa_certificate_changed:
            return {"The TAA changed its certificate.", "時刻配信局の証明書が変更されました。"};
        case Remark::Code::unrecorded_stop:
            return {"The TAA ended without good order; it is not recorded when.",
                    "時刻配信局が異常終了しました。終了時刻の記録はありません。"};
        case Remark::Code::admission:
            return {"Recorded about its connection: ", "接続の審査に関する記録: "};
    }
    return {};
}

}  // namespace

std::string_view text(Word word, Language language) {
    return words.at(static_cast<std::size_t>(word)).text.in(language);
}

std::string_view translated(std::string_view word, Language language) {
    return page::translated(names, word, language);
}

std::string sentence(const Remark& said, Language language) {
    std::string out;
    if (!said.tsu.empty()) out += said.tsu + ": ";
    out += remark(said.code).in(language);
    if (said.code != Remark::Code::admission) return out + said.detail;
    // The step, and what follows it as it was recorded.
    const auto end = said.detail.find(' ');
    return out + std::string(translated(said.detail.substr(0, end), language)) + said.detail.substr(end);
}

}  // namespace kokuin::taa
