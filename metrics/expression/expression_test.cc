#include "metrics/expression/expression.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kNames[] = {"log_p_target", "target_bytes", "margin", "a", "b"};

std::string Canonical(std::string_view text) {
  const auto expression = Expression::Parse(text, kNames);
  EXPECT_TRUE(expression.ok()) << text << ": " << expression.status();
  return expression.ok() ? expression->Canonical() : "";
}

std::string Message(std::string_view text) {
  const auto expression = Expression::Parse(text, kNames);
  EXPECT_EQ(expression.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(expression.status().message());
}

// 0 where the message does not name one.
size_t Position(std::string_view message) {
  constexpr std::string_view kStart = "expression, position ";
  if (message.substr(0, kStart.size()) != kStart) return 0;
  return std::strtoul(std::string(message.substr(kStart.size())).c_str(), nullptr, 10);
}

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ExpressionTest, CanonicalText) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {"mean(log_p_target / target_bytes)", "mean(log_p_target / target_bytes)"},
      {"-sum(log_p_target)/sum(target_bytes)/log(2)",
       "-sum(log_p_target) / sum(target_bytes) / log(2)"},
      {" mean ( margin>0 ) ", "mean(margin > 0)"},
      {"quantile(log_p_target,.10)", "quantile(log_p_target, 0.1)"},
      {"mean((a))", "mean(a)"},
      {"mean((a+b)*a)", "mean((a + b) * a)"},
      {"mean(a+(b*a))", "mean(a + b * a)"},
      {"mean(a-(b-a)-b)", "mean(a - (b - a) - b)"},
      {"mean((a-b)-a)", "mean(a - b - a)"},
      {"mean(a/(b/a))", "mean(a / (b / a))"},
      {"mean(-a^2)", "mean(-a ^ 2)"},
      {"mean((-a)^2)", "mean((-a) ^ 2)"},
      {"mean(a^b^a)", "mean(a ^ b ^ a)"},
      {"mean((a^b)^a)", "mean((a ^ b) ^ a)"},
      {"mean(a^-b)", "mean(a ^ -b)"},
      {"mean(a^(-b))", "mean(a ^ -b)"},
      {"mean(a - -b)", "mean(a - -b)"},
      {"mean(--a)", "mean(--a)"},
      {"mean(not a<b and b or a)", "mean(not a < b and b or a)"},
      {"mean(not(a or b))", "mean(not (a or b))"},
      {"mean((not a)<b)", "mean((not a) < b)"},
      {"mean((a<b)<a)", "mean((a < b) < a)"},
      {"mean(a<b == 1)", ""},
      {"mean(a or (b or a))", "mean(a or (b or a))"},
      {"max(a) - min(a, b)", ""},
      {"max(a) - min(min(a, b, 3))", "max(a) - min(min(a, b, 3))"},
      {"mean(if(isfinite(a), clip(a, 0, 1e3), abs(b)))",
       "mean(if(isfinite(a), clip(a, 0, 1000), abs(b)))"},
      {"mean(a * 1e300 + 5e-324 + 1. + 12345678901234567890)",
       "mean(a * 1e+300 + 5e-324 + 1 + 1.2345678901234567e+19)"},
      {"count(1)", "count(1)"},
      {"mean(a\t*\r\nb)", "mean(a * b)"},
  };
  for (const auto& [text, canonical] : cases) {
    if (canonical.empty()) {
      EXPECT_FALSE(Expression::Parse(text, kNames).ok()) << text;
      continue;
    }
    EXPECT_EQ(Canonical(text), canonical);
    EXPECT_EQ(Canonical(canonical), canonical);
  }
}

TEST(ExpressionTest, Signature) {
  EXPECT_EQ(Expression::Parse("mean(log_p_target/target_bytes)", kNames)->Signature(),
            "expression|mean(log_p_target / target_bytes)|v1");
}

TEST(ExpressionTest, CompiledForm) {
  const auto e = Expression::Parse("mean(a) + max(a) - mean(a) + sum(b * 2 + a)", kNames);
  ASSERT_TRUE(e.ok());
  EXPECT_EQ(e->n_columns(), 5u);
  EXPECT_THAT(e->column_names(), ElementsAre("", "", "", "a", "b"));
  ASSERT_EQ(e->rows().size(), 2u);
  EXPECT_EQ(e->rows()[0].text, "a");
  EXPECT_EQ(e->rows()[1].text, "b * 2 + a");
  EXPECT_THAT(e->rows()[1].columns, ElementsAre(3, 4));
  EXPECT_EQ(e->rows()[1].stack, 2u);
  ASSERT_EQ(e->aggregates().size(), 3u);
  EXPECT_EQ(e->aggregates()[1].text, "max(a)");
  EXPECT_EQ(e->aggregates()[1].row, 0u);
}

TEST(ExpressionTest, ErrorCores) {
  const auto core = [](std::string_view text) {
    const auto e = Expression::Parse(text, kNames);
    EXPECT_TRUE(e.ok()) << text << ": " << e.status();
    if (!e->error_core().has_value()) return std::string("none");
    const auto& c = *e->error_core();
    std::string out = e->aggregates()[c.numerator].text;
    if (c.denominator.has_value()) out += " over " + e->aggregates()[*c.denominator].text;
    return out + (c.linear ? "" : " bent");
  };
  EXPECT_EQ(core("mean(a)"), "mean(a)");
  EXPECT_EQ(core("3 - 2 * mean(a) / log(2)"), "mean(a)");
  EXPECT_EQ(core("mean(a) + mean(a)"), "mean(a)");
  EXPECT_EQ(core("exp(-mean(a))"), "mean(a) bent");
  EXPECT_EQ(core("1 / mean(a)"), "mean(a) bent");
  EXPECT_EQ(core("mean(a) + mean(b)"), "none");
  EXPECT_EQ(core("-sum(a) / sum(b) / log(2)"), "sum(a) over sum(b)");
  EXPECT_EQ(core("1 / (sum(b) / sum(a))"), "sum(a) over sum(b)");
  EXPECT_EQ(core("sum(a) / sum(b) * (sum(a) / sum(b))"), "sum(a) over sum(b) bent");
  EXPECT_EQ(core("exp(-sum(a) / sum(b))"), "sum(a) over sum(b) bent");
  EXPECT_EQ(core("sum(a) / count(a)"), "sum(a) over count(a)");
  EXPECT_EQ(core("mean(a) / mean(b)"), "mean(a) over mean(b)");
  EXPECT_EQ(core("sum(a) / mean(b)"), "none");
  EXPECT_EQ(core("sum(a)"), "none");
  EXPECT_EQ(core("sum(a) * sum(b)"), "none");
  EXPECT_EQ(core("(sum(a) + 1) / sum(b)"), "none");
  EXPECT_EQ(core("2 ^ mean(a)"), "none");
  EXPECT_EQ(core("abs(mean(a))"), "none");
  EXPECT_EQ(core("if(count(a) > 3, mean(a), 0)"), "none");
  EXPECT_EQ(core("quantile(a, 0.5)"), "none");
  EXPECT_EQ(core("count(a) / count(b)"), "none");
}

TEST(ExpressionTest, ErrorsNamePositionAndRemedy) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "position 1: is empty"},
      {"  ", "position 1: is empty"},
      {"mean(log_p_targt)",
       "expression, position 6: unknown column `log_p_targt`; did you mean `log_p_target`?"},
      {"mean(xyz)",
       "position 6: unknown column `xyz`; known are log_p_target, target_bytes, "
       "margin, a, b"},
      {"maen(a)", "position 1: unknown function `maen`; did you mean `mean`?"},
      {"frobnicate(a)", "position 1: unknown function `frobnicate`; known are abs, clip"},
      {"mean(a(b))", "position 6: unknown function `a`, it is a column; a product is written"},
      {"mean(sqrt)",
       "position 6: `sqrt` is a function, and no column has that name; write sqrt(x)"},
      {"a",
       "position 1: column `a` stands outside of every aggregate; write, for example, mean(a)"},
      {"mean(a) + b", "position 11: column `b` stands outside"},
      {"1 + 2", "position 1: has no aggregate"},
      {"mean(a + sum(b))",
       "position 10: `sum` is an aggregate inside the aggregate `mean`; combine"},
      {"mean(max(a))",
       "position 6: `max` is an aggregate inside the aggregate `mean`; of a row's "
       "values it needs two or more"},
      {"mean(a",
       "position 7: ends here, where an operator or the \")\" for the \"(\" at position "
       "5 is missing"},
      {"mean(a b)", "position 8: `b` stands where an operator or the \")\""},
      {"mean(a))", "position 8: \")\" closes nothing"},
      {"mean(a) mean(b)", "position 9: `mean` stands where an operator is expected"},
      {"mean(a) +", "position 10: ends here, where a number, a column or a function is missing"},
      {"mean(* a)", "position 6: `*` stands where a number"},
      {"mean(+a)", "position 6: `+` stands where a number"},
      {"mean(and)", "position 6: `and` stands where"},
      {"mean()", "position 1: `mean` has 0 arguments; write mean(x)"},
      {"mean(a, b)", "position 1: `mean` has 2 arguments; write mean(x)"},
      {"mean(if(a, b))", "position 6: `if` has 2 arguments; write if(condition, x, y)"},
      {"min()", "position 1: `min` has 0 arguments"},
      {"quantile(a)", "position 1: `quantile` has 1 argument; write quantile(x, p)"},
      {"quantile(a, 1.5)", "position 13: the second argument of quantile must be a number"},
      {"quantile(a, b)", "position 13: the second argument of quantile"},
      {"quantile(a, -0)", "position 13: the second argument of quantile"},
      {"mean(a < b < a)", "position 12: `<` compares the result of a comparison"},
      {"mean(a = b)", "position 8: `=` has no meaning here; equality is written =="},
      {"mean(!a)", "position 6: `!` has no meaning here; write not"},
      {"mean(a && b)", "position 8: `&` has no meaning here; write and"},
      {"mean(a ** 2)", "position 8: `**` is no operator; a power is written x ^ y"},
      {"mean(a % 2)", "position 8: `%` has no meaning here"},
      {"mean(\"a\")", "columns are written by their bare name"},
      {"mean(a \xff)", "position 8: `\\xff` has no meaning here"},
      {std::string("mean(a\0)", 8), "position 7: `\\x00` has no meaning here"},
      {"mean(a * not b)", "position 10: `not` binds weaker than the operator before it"},
      {"mean(2a)", "position 6: `2a` is no number"},
      {"mean(1.2.3)", "position 6: `1.2.` is no number"},
      {"mean(1e)", "position 6: `1e` is no number"},
      {"mean(1e999)", "position 6: `1e999` is outside the range of doubles"},
      {"mean(1e-999)", "position 6: `1e-999` is outside the range of doubles"},
      {"mean(.)", "position 6: `.` has no meaning here"},
  };
  for (const auto& [text, part] : cases) {
    const std::string message = Message(text);
    EXPECT_THAT(message, HasSubstr(part)) << text;
    EXPECT_GT(Position(message), 0u) << message;
  }
}

TEST(ExpressionTest, ColumnsAreTakenByName) {
  const std::string_view like_a_function[] = {"min", "x"};
  const auto e = Expression::Parse("min(min)", like_a_function);
  ASSERT_TRUE(e.ok()) << e.status();
  EXPECT_EQ(e->Canonical(), "min(min)");
  const std::string_view twice[] = {"a", "margin", "b", "margin"};
  const auto refused = Expression::Parse("mean(a)", twice);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("columns[3] is \"margin\", as columns[1]"));
  // What cannot be named is no suggestion either, and may be there twice.
  const std::string_view odd[] = {"acc,none", "acc,none", ""};
  EXPECT_THAT(std::string(Expression::Parse("mean(acc)", odd).status().message()),
              HasSubstr("unknown column `acc`; known are acc,none"));
  EXPECT_THAT(std::string(Expression::Parse("mean(acc)", {}).status().message()),
              HasSubstr("unknown column `acc`; there are no columns"));
}

TEST(ExpressionTest, LimitsAreChecked) {
  // The text.
  const std::string padded = "mean(a)" + std::string(Expression::kMaxTextLength - 7, ' ');
  EXPECT_TRUE(Expression::Parse(padded, kNames).ok());
  EXPECT_THAT(Message(padded + " "), HasSubstr("position 4097: 4097 bytes are more than 4096"));
  EXPECT_THAT(Message(std::string(5'000'000, '(')), HasSubstr("bytes are more than 4096"));
  // Depth: mean's own parenthesis is the first.
  const auto nested = [](std::string_view open, std::string_view close, int times) {
    return "mean(" + Repeat(open, times) + "a" + Repeat(close, times) + ")";
  };
  struct Form {
    std::string_view open;
    std::string_view close;
  };
  for (const Form& form : {Form{"(", ")"}, {"-", ""}, {"not ", ""}, {"abs(", ")"}, {"a ^ ", ""}}) {
    EXPECT_TRUE(Expression::Parse(nested(form.open, form.close, 63), kNames).ok()) << form.open;
    EXPECT_THAT(Message(nested(form.open, form.close, 64)), HasSubstr("nested more than 64 deep"))
        << form.open;
    EXPECT_THAT(Message(nested(form.open, form.close, 500)), HasSubstr("nested more than 64 deep"));
  }
  // Nodes: 2 n + 2 of them, in a tree that is n high. It is compiled and printed without trouble.
  const std::string high = "mean(a" + Repeat("+a", 511) + ")";
  EXPECT_EQ(Canonical(high).size(), std::string_view("mean(a)").size() + 2044);
  EXPECT_THAT(Message("mean(a" + Repeat("+a", 512) + ")"),
              HasSubstr("more than 1024 numbers, names and operators"));
  const std::string wide = "mean(max(a" + Repeat(",a", 1021) + "))";
  EXPECT_TRUE(Expression::Parse(wide, kNames).ok());
  EXPECT_EQ(Expression::Parse(wide, kNames)->rows()[0].stack, 2u);
  // The canonical text.
  EXPECT_THAT(Message("mean(a" + Repeat("+1e9", 500) + ")"),
              HasSubstr("position 1: its canonical text has"));
}

// Random expressions with more parentheses and blanks than they need.
class RandomExpression {
 public:
  explicit RandomExpression(uint64_t stream) : rng_(21, stream) {}

  std::string Text() {
    std::string out;
    Outer(out, 2 + static_cast<int>(rng_.Below(3)));
    return out;
  }

 private:
  void Blank(std::string& out) {
    if (rng_.Below(3) == 0) out += Pick({" ", "  ", "\t", "\n"});
  }
  std::string_view Pick(const std::vector<std::string_view>& of) {
    return of[rng_.Below(of.size())];
  }

  void Outer(std::string& out, int depth) {
    Any(out, depth, [this](std::string& inner) {
      const std::string_view name = Pick({"mean", "sum", "count", "min", "max", "var", "quantile"});
      inner += name;
      Blank(inner);
      inner += "(";
      Any(inner, 3, [this](std::string& leaf) { leaf += Pick({"a", "b", "margin"}); });
      if (name == "quantile") inner += Pick({",0.5", ", 1", ",.25", ", 1e-1"});
      inner += ")";
    });
  }

  template <typename Leaf>
  void Any(std::string& out, int depth, const Leaf& leaf) {
    Blank(out);
    const uint64_t pick = depth == 0 ? rng_.Below(3) : rng_.Below(14);
    const auto next = [&](std::string& to) { Any(to, depth - 1, leaf); };
    if (pick < 2) {
      leaf(out);
    } else if (pick == 2) {
      // Never alone: an expression needs an aggregate.
      leaf(out);
      out += Pick({"*", "-"});
      out += Pick({"0", "1", "2.50", "1e-3", "1E22", "0.1", "123456789.125", "5e-324"});
    } else if (pick < 8) {
      out += "(";
      next(out);
      Blank(out);
      out += ")";
      out += Pick({"+", "-", "*", "/", "^", "<", "<=", ">", ">=", "==", "!=", " and ", " or "});
      const bool bare = rng_.Below(4) == 0;
      if (!bare) out += "(";
      if (bare) {
        leaf(out);
      } else {
        next(out);
        out += ")";
      }
    } else if (pick < 10) {
      out += Pick({"-", "not "});
      out += "(";
      next(out);
      out += ")";
    } else if (pick < 12) {
      out += Pick({"log(", "log2(", "exp(", "sqrt(", "abs(", "isfinite("});
      next(out);
      out += ")";
    } else {
      const std::string_view name = Pick({"min(", "max(", "if(", "clip("});
      out += name;
      next(out);
      out += ",";
      next(out);
      out += ",";
      next(out);
      out += ")";
    }
    Blank(out);
  }

  CounterRng rng_;
};

// Every instruction of both, not the texts alone: that a canonical text means the same.
void ExpectSame(const Expression& x, const Expression& y) {
  const auto same = [](const std::vector<ExpressionStep>& a, const std::vector<ExpressionStep>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(a[i].op, b[i].op);
      ASSERT_EQ(a[i].number, b[i].number);
      ASSERT_EQ(a[i].index, b[i].index);
    }
  };
  same(x.steps(), y.steps());
  ASSERT_EQ(x.rows().size(), y.rows().size());
  for (size_t r = 0; r < x.rows().size(); ++r) same(x.rows()[r].steps, y.rows()[r].steps);
  ASSERT_EQ(x.aggregates().size(), y.aggregates().size());
  for (size_t i = 0; i < x.aggregates().size(); ++i) {
    ASSERT_EQ(x.aggregates()[i].kind, y.aggregates()[i].kind);
    ASSERT_EQ(x.aggregates()[i].row, y.aggregates()[i].row);
    ASSERT_EQ(x.aggregates()[i].probability, y.aggregates()[i].probability);
  }
}

TEST(ExpressionTest, CanonicalTextsRoundTrip) {
  int parsed = 0;
  for (uint64_t trial = 0; trial < 3000; ++trial) {
    const std::string text = RandomExpression(trial).Text();
    const auto first = Expression::Parse(text, kNames);
    if (!first.ok()) {
      // Only the limits may refuse them.
      ASSERT_THAT(std::string(first.status().message()), HasSubstr("split it into")) << text;
      continue;
    }
    ++parsed;
    const auto again = Expression::Parse(first->Canonical(), kNames);
    ASSERT_TRUE(again.ok()) << text << "\n" << first->Canonical() << "\n" << again.status();
    ASSERT_EQ(again->Canonical(), first->Canonical());
    ExpectSame(*first, *again);
  }
  EXPECT_GT(parsed, 2500);
}

// Whatever the bytes: an expression, or a status with a position within the text or just after it.
void ExpectNoSurprise(std::string_view text, int& parsed) {
  const auto expression = Expression::Parse(text, kNames);
  if (expression.ok()) {
    ++parsed;
    ASSERT_TRUE(Expression::Parse(expression->Canonical(), kNames).ok()) << text;
    return;
  }
  ASSERT_EQ(expression.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(expression.status().message());
  const size_t position = Position(message);
  ASSERT_GE(position, 1u) << message;
  ASSERT_LE(position, text.size() + 1) << message;
  for (const char c : message) ASSERT_TRUE(c >= ' ' && c <= '~') << message;
}

TEST(ExpressionTest, RandomBytesNeverCrash) {
  CounterRng rng(22, 0);
  int parsed = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string text(rng.Below(60), '\0');
    for (char& c : text) c = static_cast<char>(rng.Below(256));
    ExpectNoSurprise(text, parsed);
  }
}

TEST(ExpressionTest, RandomTokensNeverCrash) {
  constexpr std::string_view kTokens[] = {
      "mean",     "sum", "min",    "max",      "quantile", "var",     "count", "if", "clip", "log",
      "isfinite", "(",   "(",      "(",        ")",        ")",       ")",     ",",  ",",    "a",
      "b",        "a",   "margin", "xyz",      "1",        "0.5",     "1e9",   ".",  "1e",   "+",
      "-",        "*",   "/",      "^",        "<",        "<=",      "==",    "!=", "=",    "and",
      "or",       "not", " ",      "\xc3\xa9", "mean(",    "mean(a)", "sum(b)"};
  CounterRng rng(23, 0);
  int parsed = 0;
  for (int trial = 0; trial < 50'000; ++trial) {
    std::string text;
    const uint64_t n = 1 + rng.Below(14);
    for (uint64_t i = 0; i < n; ++i) {
      text += kTokens[rng.Below(std::size(kTokens))];
      if (rng.Below(2) == 0) text += ' ';
    }
    ExpectNoSurprise(text, parsed);
  }
  EXPECT_GT(parsed, 100);
}

// Expressions with a few bytes changed come closer to what is accepted.
TEST(ExpressionTest, ChangedExpressionsNeverCrash) {
  CounterRng rng(24, 0);
  int parsed = 0;
  for (uint64_t trial = 0; trial < 10'000; ++trial) {
    std::string text = RandomExpression(trial % 500).Text();
    for (uint64_t i = 0; i <= rng.Below(3); ++i) {
      const size_t at = rng.Below(text.size());
      switch (rng.Below(3)) {
        case 0:
          text.erase(at, 1);
          break;
        case 1:
          text.insert(at, 1, static_cast<char>(rng.Below(128)));
          break;
        default:
          text[at] = "()+-*/^<>=,.ab1 "[rng.Below(16)];
      }
      if (text.empty()) break;
    }
    ExpectNoSurprise(text, parsed);
  }
  EXPECT_GT(parsed, 500);
}

}  // namespace
}  // namespace mirage::metrics
