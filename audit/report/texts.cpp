#include "audit/report/texts.h"

#include <array>

#include "base/page/words.h"

namespace kokuin::audit::report {
namespace {

using page::Language;
using page::Named;

using Said = page::Said<Word>;

constexpr std::array words{
    Said{Word::title, {"Time-stamping authority: report of the month", "時刻認証局 月次監査報告書"}},
    Said{Word::interim, {"interim: the month is not over", "中間（対象月は終了していません）"}},
    Said{Word::log, {"Log", "ログ"}},
    Said{Word::archive, {"Archive", "アーカイブ"}},
    Said{Word::tsu, {"Time-stamping unit (TSU)", "タイムスタンプユニット（TSU）"}},
    Said{Word::only_tsu,
         {"Tokens, audits and gates of this TSU alone", "トークン・時刻監査・発行ゲートはこのTSUのみ"}},
    Said{Word::period, {"Period (UTC)", "対象期間（UTC）"}},
    Said{Word::from, {"From", "開始"}},
    Said{Word::to, {"To, exclusive", "終了（当時刻を含まない）"}},
    Said{Word::ended, {"To", "終了"}},
    Said{Word::known_until, {"Known until", "集計時点"}},
    Said{Word::made, {"Made", "作成日時"}},
    Said{Word::jst, {"JST", "日本標準時"}},
    Said{Word::records, {"Records", "記録番号の範囲"}},
    Said{Word::last_at, {"the last at", "最終記録"}},
    Said{Word::summary, {"Summary", "概要"}},
    Said{Word::tokens, {"Tokens issued", "発行トークン数"}},
    Said{Word::refused_requests, {"Requests refused", "拒否した要求の件数"}},
    Said{Word::tacs_accepted, {"TACs accepted", "受理した時刻監査証明書"}},
    Said{Word::orders_to_stop, {"Orders to stop", "時刻認証機能停止命令"}},
    Said{Word::tacs_refused, {"TACs refused", "拒否した時刻監査証明書"}},
    Said{Word::least_availability, {"Least availability", "稼働率（最小）"}},
    Said{Word::outages, {"Outages", "停止・障害"}},
    Said{Word::problems, {"Problems of integrity", "完全性の問題"}},
    Said{Word::not_verified, {"not verified", "未検証"}},
    Said{Word::volume, {"Volume", "発行件数"}},
    Said{Word::volume_plot, {"Tokens per hour", "1時間ごとの発行件数"}},
    Said{Word::day, {"Day (UTC)", "日（UTC）"}},
    Said{Word::policy, {"Policy", "ポリシー"}},
    Said{Word::without_tac, {"Issued without a TAC", "時刻監査証明書なしの発行"}},
    Said{Word::peak, {"Most in one minute", "1分間の最大発行件数"}},
    Said{Word::none, {"None.", "ありません。"}},
    Said{Word::refusals, {"Refused requests", "拒否した要求"}},
    Said{Word::refusals_plot, {"Refused requests per day", "1日ごとの拒否件数"}},
    Said{Word::reason, {"Reason", "理由"}},
    Said{Word::number, {"Number", "件数"}},
    Said{Word::all_days, {"Whole month", "月合計"}},
    Said{Word::clock, {"Error of the clock", "時計の誤差"}},
    Said{Word::accuracy, {"Accuracy stated in tokens", "トークンに記載した精度"}},
    Said{Word::largest_bound, {"Largest possible error", "誤差上限の最大値"}},
    Said{Word::of_token, {"of the token", "該当トークン"}},
    Said{Word::bound_plot, {"Largest possible error of the clock, per hour", "1時間ごとの時計の誤差上限"}},
    Said{
        Word::bound_about,
        {"Logarithmic scale beyond 1 ms. Blue: the largest of the hour's tokens, grey: their median. Dashed: "
         "the accuracy stated.",
         "1ミリ秒を超える部分は対数目盛。青はその時間の最大値、灰色は中央値、破線は記載精度。"}},
    Said{Word::offset_plot, {"Offsets measured", "測定したオフセット"}},
    Said{Word::offset_about,
         {"Blue: by the TAA (as the TAC says it), green: by the reference, least and largest of an hour. "
          "Large: "
          "orders to stop. Grey: no TAC in force. Dashed: the largest offset accepted.",
          "青は時刻監査（時刻監査証明書の記載値）、緑は参照時刻（1時間の最小と最大）、大きい点は停止命令、灰"
          "色は有効な"
          "時刻監査証明書のない期間、破線はオフセットの上限。"}},
    Said{Word::delay_plot, {"Network delay of the audits", "時刻監査のネットワーク遅延"}},
    Said{Word::comparisons, {"Compared with the reference", "参照時刻との比較"}},
    Said{Word::no_comparisons,
         {"No comparison with an independent reference was recorded.",
          "独立した参照時刻との比較の記録はありません。"}},
    Said{Word::measurements, {"Measurements", "測定回数"}},
    Said{Word::offset_min, {"Least offset", "オフセットの最小値"}},
    Said{Word::offset_max, {"Largest offset", "オフセットの最大値"}},
    Said{Word::uncertainty, {"Uncertainty of the last", "最終値の不確かさ"}},
    Said{Word::audits, {"Time audits", "時刻監査"}},
    Said{Word::time, {"Time (UTC)", "時刻（UTC）"}},
    Said{Word::verdict, {"Verdict", "判定"}},
    Said{Word::tac, {"TAC", "時刻監査証明書（TAC）"}},
    Said{Word::offset, {"Offset", "オフセット"}},
    Said{Word::delay, {"Delay", "遅延"}},
    Said{Word::valid_until, {"Valid until", "有効期限"}},
    Said{Word::record, {"Record", "記録番号"}},
    Said{Word::gaps, {"Time without a TAC in force", "有効な時刻監査証明書のない期間"}},
    Said{Word::no_gaps, {"There was none.", "ありませんでした。"}},
    Said{Word::lasting, {"not over", "継続中"}},
    Said{Word::keys, {"Keys and custodians", "鍵と鍵管理者"}},
    Said{Word::kind, {"Kind", "種別"}},
    Said{Word::subject, {"Concerns", "対象"}},
    Said{Word::recorded_text, {"As recorded", "記録の原文"}},
    Said{Word::availability, {"Availability", "稼働率"}},
    Said{Word::gate_policies, {"Policies", "ポリシー"}},
    Said{Word::share, {"Share", "割合"}},
    Said{Word::open_for, {"Could stamp for", "発行可能な時間"}},
    Said{Word::out_of, {"out of", "対象時間"}},
    Said{Word::what, {"What", "箇所"}},
    Said{Word::cause, {"Cause", "原因"}},
    Said{Word::duration, {"Lasted", "継続時間"}},
    Said{Word::not_recorded, {"from: the last sign of life", "開始は最後の記録の時刻"}},
    Said{Word::integrity, {"Integrity of the archive", "アーカイブの完全性"}},
    Said{Word::checkpoints, {"Checkpoints signed", "署名済みチェックポイント"}},
    Said{Word::longest_uncovered,
         {"Longest time between the first and the last token that one checkpoint was the first to cover",
          "一つのチェックポイントで初めて保護されたトークンの最大時間幅"}},
    Said{Word::uncovered, {"Records under no checkpoint", "チェックポイントで保護されていない記録"}},
    Said{Word::removed,
         {"Removed after their time: this report says nothing of them",
          "保存期間の満了により削除された記録(この報告書には含まれません)"}},
    Said{Word::unknown_since_removed,
         {"Not known any more: records from which it follows were removed after their time",
          "根拠となる記録が保存期間の満了により削除されたため、不明です"}},
    Said{Word::newest_head, {"Newest head of the tree", "最新のツリーヘッド"}},
    Said{Word::size, {"size", "記録数"}},
    Said{Word::root, {"root", "ルートハッシュ"}},
    Said{Word::cosignatures, {"Cosigned by witnesses", "証人の連署"}},
    Said{Word::no_cosignatures, {"No witness has cosigned.", "証人の連署はありません。"}},
    Said{Word::verification, {"Verification", "検証"}},
    Said{Word::whole,
         {"Whole: nothing was added, changed or moved, nor removed before its time.",
          "完全です。追加・変更・移動、および保存期間の満了前の削除はありません。"}},
    Said{Word::not_whole, {"NOT WHOLE", "完全ではありません"}},
    Said{Word::anchored, {"Judged by a trust file", "信頼ファイルによる検証"}},
    Said{Word::not_anchored,
         {"Not judged: that this is the newest copy, and whose signatures these are",
          "最新の写しであること、署名者が誰であるかは検証していません"}},
    Said{Word::looked_at, {"Records looked at", "検証した記録数"}},
    Said{Word::segment, {"Segment", "セグメント"}},
    Said{Word::serial, {"Serial number", "シリアル番号"}},
    Said{Word::detail, {"Detail", "詳細"}},
    Said{Word::left_out, {"Rows left out", "省略した行数"}},
    Said{Word::steps, {"Seals, copies, removals, programs", "封印・複製・削除・プログラム"}},
    Said{Word::events, {"Events recorded", "記録された事象"}},
    Said{Word::notes,
         {"All times are UTC. Tokens count by genTime, everything else by the time of its record. A possible "
          "error is "
          "the bound that stands in each token's record; an offset is as the TAC says it (TSU − TAA where "
          "the TAA is "
          "a Kokuin). Refusals are recorded once a minute. A gate is open while the clock is proved; "
          "availability is "
          "the time in which the server ran, the gate was open and the key at hand.",
          "時刻はすべてUTCです。トークンはgenTime、その他は記録の時刻で集計しています。誤差上限は各トークンの"
          "記録にある"
          "値、オフセットは時刻監査証明書の記載値です。拒否件数は1分ごとに記録されます。稼働率は、サーバが動"
          "作し、時計の"
          "精度が確認され、鍵が使用可能であった時間の割合です。"}},
};

static_assert(page::in_order(words));

constexpr std::array names{
    Named{"accepted", {"accepted", "受理"}},
    Named{"stop", {"order to stop", "停止命令"}},
    Named{"refused", {"refused", "拒否"}},
    Named{"taken-back", {"taken back", "失効"}},
    Named{"server", {"server", "サーバ"}},
    Named{"gate", {"gate", "発行ゲート"}},
    Named{"hsm", {"HSM", "HSM"}},
    Named{"custody", {"custodians", "鍵管理者"}},
    Named{"reference", {"reference", "参照時刻"}},
    Named{"revocation", {"revocation", "失効情報"}},
    Named{"checkpoint", {"checkpoint", "チェックポイント"}},
    Named{"witness", {"witness", "証人"}},
    Named{"programs", {"programs", "プログラム"}},
    Named{"copy", {"second place", "複製先"}},
    Named{"changed", {"changed", "変更"}},
    Named{"memory", {"changed in memory", "メモリ上の変更"}},
    Named{"traced", {"traced", "トレース"}},
    Named{"stopped", {"stopped in good order", "正常停止"}},
    Named{"crashed", {"ended without good order", "異常終了"}},
    Named{"lost", {"lost", "接続断"}},
    Named{"locked", {"waited for custodians", "鍵管理者待ち"}},
    Named{"deactivated", {"deactivated", "非活性化"}},
    Named{"silent", {"silent", "応答なし"}},
    Named{"unsynchronised", {"not synchronised", "非同期"}},
    Named{"stale", {"stale", "古い測定"}},
    Named{"unknown", {"unknown", "不明"}},
    Named{"late", {"late", "遅延"}},
    Named{"away", {"away", "応答なし"}},
    Named{"conflict", {"conflict", "矛盾"}},
    Named{"suspended", {"suspended", "運用者による停止"}},
    Named{"key-revoked", {"key revoked", "鍵の失効"}},
    Named{"revocation-unknown", {"revocation unknown", "失効情報不明"}},
    Named{"key-not-yet", {"key not yet valid", "鍵の有効期間前"}},
    Named{"key-ended", {"key ended", "鍵の有効期間終了"}},
    Named{"order-to-stop", {"order to stop", "停止命令"}},
    Named{"slept", {"machine was suspended", "計算機の休止"}},
    Named{"contradiction", {"contradiction", "証拠の矛盾"}},
    Named{"taa-revoked", {"TAA revoked", "時刻配信局の失効"}},
    Named{"no-tac", {"no TAC", "時刻監査証明書なし"}},
    Named{"tac-not-yet", {"TAC not yet valid", "時刻監査証明書の有効期間前"}},
    Named{"tac-ended", {"TAC ended", "時刻監査証明書の期限切れ"}},
    Named{"no-reference", {"no reference", "参照時刻なし"}},
    Named{"no-bound", {"error unknown", "誤差不明"}},
    Named{"bound", {"error too large", "誤差超過"}},
    Named{"leap-second", {"leap second", "うるう秒"}},
};

}  // namespace

std::string_view text(Word word, Language language) {
    return words.at(static_cast<std::size_t>(word)).text.in(language);
}

std::string_view translated(std::string_view word, Language language) {
    return page::translated(names, word, language);
}

}  // namespace kokuin::audit::report
