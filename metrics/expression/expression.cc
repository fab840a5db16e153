#include "metrics/expression/expression.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace mirage::metrics {
namespace {

using Op = ExpressionOp;

constexpr uint32_t kNoNode = 0xffffffffu;
// Longer names get no suggestion: its cost grows with the product of lengths.
constexpr size_t kLongestSuggestedName = 64;

// How tightly an operator binds; the levels of the grammar.
enum Level : int {
  kOrLevel = 1,
  kAndLevel,
  kNotLevel,
  kComparisonLevel,
  kSumLevel,
  kProductLevel,
  kUnaryLevel,
  kPowerLevel,
  kPrimaryLevel,
};

struct Infix {
  std::string_view text;
  Op op;
  Level level;
};

constexpr std::array<Infix, 12> kInfixes = {{{"or", Op::kOr, kOrLevel},
                                             {"and", Op::kAnd, kAndLevel},
                                             {"<", Op::kLess, kComparisonLevel},
                                             {"<=", Op::kLessEqual, kComparisonLevel},
                                             {">", Op::kGreater, kComparisonLevel},
                                             {">=", Op::kGreaterEqual, kComparisonLevel},
                                             {"==", Op::kEqual, kComparisonLevel},
                                             {"!=", Op::kNotEqual, kComparisonLevel},
                                             {"+", Op::kAdd, kSumLevel},
                                             {"-", Op::kSubtract, kSumLevel},
                                             {"*", Op::kMultiply, kProductLevel},
                                             {"/", Op::kDivide, kProductLevel}}};

struct Function {
  std::string_view name;
  // Of a row; kAggregate for those that are aggregates only.
  Op op;
  // kMin and kMax are aggregates of one argument and functions of more.
  std::optional<AggregateKind> aggregate;
  size_t least_arguments;
  size_t most_arguments;
  std::string_view usage;
};

constexpr std::array<Function, 15> kFunctions = {{
    {"abs", Op::kAbs, {}, 1, 1, "abs(x)"},
    {"clip", Op::kClip, {}, 3, 3, "clip(x, low, high)"},
    {"count", Op::kAggregate, AggregateKind::kCount, 1, 1, "count(x)"},
    {"exp", Op::kExp, {}, 1, 1, "exp(x)"},
    {"if", Op::kIf, {}, 3, 3, "if(condition, x, y)"},
    {"isfinite", Op::kIsFinite, {}, 1, 1, "isfinite(x)"},
    {"log", Op::kLog, {}, 1, 1, "log(x)"},
    {"log2", Op::kLog2, {}, 1, 1, "log2(x)"},
    {"max", Op::kMax, AggregateKind::kMax, 1, Expression::kMaxNodes, "max(x) or max(x, y)"},
    {"mean", Op::kAggregate, AggregateKind::kMean, 1, 1, "mean(x)"},
    {"min", Op::kMin, AggregateKind::kMin, 1, Expression::kMaxNodes, "min(x) or min(x, y)"},
    {"quantile", Op::kAggregate, AggregateKind::kQuantile, 2, 2, "quantile(x, p)"},
    {"sqrt", Op::kSqrt, {}, 1, 1, "sqrt(x)"},
    {"sum", Op::kAggregate, AggregateKind::kSum, 1, 1, "sum(x)"},
    {"var", Op::kAggregate, AggregateKind::kVar, 1, 1, "var(x)"},
}};

const Function* FindFunction(std::string_view name) {
  for (const Function& function : kFunctions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

const Infix* FindInfix(Op op) {
  for (const Infix& infix : kInfixes) {
    if (infix.op == op) return &infix;
  }
  return nullptr;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNamePart(char c) { return IsNameStart(c) || IsDigit(c); }

bool IsName(std::string_view text) {
  return !text.empty() && IsNameStart(text[0]) && std::all_of(text.begin(), text.end(), IsNamePart);
}

// For messages: short, and without bytes that are not printable.
std::string Shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kLongestSuggestedName)) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (text.size() > kLongestSuggestedName) out += "...";
  return out;
}

// Number of insertions, deletions, substitutions and swaps of neighbours between two short names.
size_t TypingErrors(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> least(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      size_t& here = least[i][j];
      if (i == 0 || j == 0) {
        here = i + j;
        continue;
      }
      here = std::min({least[i - 1][j] + 1, least[i][j - 1] + 1,
                       least[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        here = std::min(here, least[i - 2][j - 2] + 1);
      }
    }
  }
  return least[a.size()][b.size()];
}

// "; did you mean `x`?" with the nearest of the names, the first of those that tie; empty when none
// is near.
template <typename Names>
std::string Suggestion(std::string_view name, const Names& names) {
  if (name.size() > kLongestSuggestedName) return "";
  std::string_view best;
  size_t least = name.size() / 3 + 1;
  for (const std::string_view other : names) {
    if (other.size() > kLongestSuggestedName || !IsName(other)) continue;
    const size_t errors = TypingErrors(name, other);
    if (errors < least || (errors == least && best.empty())) {
      least = errors;
      best = other;
    }
  }
  return best.empty() ? "" : fmt::format("; did you mean `{}`?", best);
}

absl::Status ErrorAt(size_t position, std::string_view message) {
  return absl::InvalidArgumentError(
      fmt::format("expression, position {}: {}", position + 1, message));
}

struct Node {
  Op op = Op::kNumber;
  // Where the token stands that made it.
  size_t position = 0;
  double number = 0;
  // Of a column.
  uint32_t column = 0;
  AggregateKind aggregate = AggregateKind::kMean;
  std::vector<uint32_t> arguments;
};

enum class TokenKind { kEnd, kNumber, kName, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t position = 0;
  std::string_view text;
  double number = 0;
};

// Recursive descent. The first error stays in status_, and every function returns kNoNode from
// there on.
class Parser {
 public:
  Parser(std::string_view text, std::span<const std::string_view> columns)
      : text_(text), columns_(columns) {}

  absl::StatusOr<uint32_t> Parse() {
    Advance();
    if (status_.ok() && token_.kind == TokenKind::kEnd) {
      Fail(0, "is empty; write, for example, mean(x) with a column's name for x");
    }
    const uint32_t root = ParseFrom(kOrLevel);
    if (status_.ok() && token_.kind != TokenKind::kEnd) {
      if (token_.text == ")") {
        Fail(token_.position, "\")\" closes nothing; remove it or open a parenthesis before");
      } else {
        FailUnexpected("an operator");
      }
    }
    if (!status_.ok()) return status_;
    return root;
  }

  std::vector<Node>& nodes() { return nodes_; }

 private:
  void Fail(size_t position, std::string_view message) {
    if (status_.ok()) status_ = ErrorAt(position, message);
  }

  void FailUnexpected(std::string_view expected) {
    if (token_.kind == TokenKind::kEnd) {
      Fail(token_.position, fmt::format("ends here, where {} is missing", expected));
    } else {
      Fail(token_.position,
           fmt::format("`{}` stands where {} is expected", Shown(token_.text), expected));
    }
  }

  void Advance() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || (text_[at_] >= '\t' && text_[at_] <= '\r'))) {
      ++at_;
    }
    token_ = {.kind = TokenKind::kEnd, .position = at_};
    if (at_ == text_.size()) return;
    const char c = text_[at_];
    const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (IsDigit(c) || (c == '.' && IsDigit(next))) {
      ReadNumber();
    } else if (IsNameStart(c)) {
      size_t end = at_;
      while (end < text_.size() && IsNamePart(text_[end])) ++end;
      Take(TokenKind::kName, end - at_);
    } else if (next == '=' && (c == '<' || c == '>' || c == '=' || c == '!')) {
      Take(TokenKind::kSymbol, 2);
    } else if (c == '*' && next == '*') {
      Fail(at_, "`**` is no operator; a power is written x ^ y");
    } else if (std::string_view("+-*/^(),<>").find(c) != std::string_view::npos) {
      Take(TokenKind::kSymbol, 1);
    } else {
      FailByte(c);
    }
  }

  void FailByte(char c) {
    constexpr std::array<std::pair<char, std::string_view>, 6> kRemedies = {{
        {'=', "; equality is written =="},
        {'!', "; write not, or != for inequality"},
        {'&', "; write and"},
        {'|', "; write or"},
        {'"', "; columns are written by their bare name"},
        {'`', "; columns are written by their bare name"},
    }};
    std::string_view remedy;
    for (const auto& [byte, text] : kRemedies) {
      if (byte == c) remedy = text;
    }
    Fail(at_, fmt::format("`{}` has no meaning here{}", Shown(std::string_view(&c, 1)), remedy));
  }

  void Take(TokenKind kind, size_t size) {
    token_.kind = kind;
    token_.text = text_.substr(at_, size);
    at_ += size;
  }

  void ReadNumber() {
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), token_.number);
    const auto size = static_cast<size_t>(end - begin);
    if (error == std::errc::result_out_of_range) {
      Fail(at_, fmt::format("`{}` is outside the range of doubles", Shown({begin, size})));
      return;
    }
    Take(TokenKind::kNumber, size);
    // "1e", "2x" and "1.2.3" are typing errors, not two tokens.
    if (at_ < text_.size() && (IsNamePart(text_[at_]) || text_[at_] == '.')) {
      Fail(token_.position, fmt::format("`{}` is no number; write, for example, 0.5, 2e-3 or 2 * x",
                                        Shown(std::string_view(begin, size + 1))));
    }
  }

  bool IsSymbol(std::string_view text) const {
    return token_.kind == TokenKind::kSymbol && token_.text == text;
  }
  bool IsWord(std::string_view text) const {
    return token_.kind == TokenKind::kName && token_.text == text;
  }

  const Infix* CurrentInfix() const {
    if (token_.kind != TokenKind::kSymbol && token_.kind != TokenKind::kName) return nullptr;
    for (const Infix& infix : kInfixes) {
      if (infix.text == token_.text) return &infix;
    }
    return nullptr;
  }

  uint32_t Make(Op op, size_t position, std::vector<uint32_t> arguments) {
    if (!status_.ok()) return kNoNode;
    if (nodes_.size() == Expression::kMaxNodes) {
      Fail(position, fmt::format("has more than {} numbers, names and operators; split it into "
                                 "several metrics",
                                 Expression::kMaxNodes));
      return kNoNode;
    }
    nodes_.push_back({.op = op, .position = position, .arguments = std::move(arguments)});
    return static_cast<uint32_t>(nodes_.size() - 1);
  }

  // One level deeper, unless that is too deep: then an error, and kNoNode.
  template <typename Body>
  uint32_t Nested(size_t position, const Body& body) {
    if (depth_ == Expression::kMaxDepth) {
      Fail(position, fmt::format("is nested more than {} deep; split it into several metrics",
                                 Expression::kMaxDepth));
      return kNoNode;
    }
    ++depth_;
    const uint32_t node = body();
    --depth_;
    return node;
  }

  // An operand whose operators bind at least as tightly as `level`.
  uint32_t ParseFrom(int level) {
    if (!status_.ok()) return kNoNode;
    uint32_t left = ParsePrefix(level);
    while (status_.ok()) {
      const Infix* infix = CurrentInfix();
      if (infix == nullptr || infix->level < level) break;
      const size_t position = token_.position;
      Advance();
      const uint32_t right = ParseFrom(infix->level + 1);
      left = Make(infix->op, position, {left, right});
      if (infix->level != kComparisonLevel || !status_.ok()) continue;
      if (const Infix* again = CurrentInfix();
          again != nullptr && again->level == kComparisonLevel) {
        Fail(token_.position,
             fmt::format("`{}` compares the result of a comparison; write a < b and b < c, or use "
                         "parentheses",
                         token_.text));
      }
    }
    return left;
  }

  uint32_t ParsePrefix(int level) {
    const size_t position = token_.position;
    if (IsWord("not")) {
      if (level > kNotLevel) {
        Fail(position, "`not` binds weaker than the operator before it; put it in parentheses");
        return kNoNode;
      }
      Advance();
      return Nested(position, [&] { return Make(Op::kNot, position, {ParseFrom(kNotLevel)}); });
    }
    if (IsSymbol("-")) {
      Advance();
      return Nested(position,
                    [&] { return Make(Op::kNegate, position, {ParseFrom(kUnaryLevel)}); });
    }
    const uint32_t base = ParsePrimary();
    if (!status_.ok() || !IsSymbol("^")) return base;
    const size_t hat = token_.position;
    Advance();
    return Nested(hat, [&] { return Make(Op::kPower, hat, {base, ParseFrom(kUnaryLevel)}); });
  }

  uint32_t ParsePrimary() {
    const Token token = token_;
    if (token.kind == TokenKind::kNumber) {
      Advance();
      const uint32_t node = Make(Op::kNumber, token.position, {});
      if (node != kNoNode) nodes_[node].number = token.number;
      return node;
    }
    if (IsSymbol("(")) {
      Advance();
      return Nested(token.position, [&] {
        const uint32_t node = ParseFrom(kOrLevel);
        Close(token.position);
        return node;
      });
    }
    if (token.kind == TokenKind::kName && !IsWord("and") && !IsWord("or")) {
      Advance();
      if (!status_.ok()) return kNoNode;
      return IsSymbol("(") ? ParseCall(token) : ParseColumn(token);
    }
    FailUnexpected("a number, a column or a function");
    return kNoNode;
  }

  // The ")" for the "(" at `opened`.
  void Close(size_t opened) {
    if (!status_.ok()) return;
    if (!IsSymbol(")")) {
      FailUnexpected(
          fmt::format("an operator or the \")\" for the \"(\" at position {}", opened + 1));
      return;
    }
    Advance();
  }

  uint32_t ParseColumn(const Token& name) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i] != name.text) continue;
      const uint32_t node = Make(Op::kColumn, name.position, {});
      if (node != kNoNode) nodes_[node].column = static_cast<uint32_t>(i);
      return node;
    }
    if (const Function* function = FindFunction(name.text); function != nullptr) {
      Fail(name.position, fmt::format("`{}` is a function, and no column has that name; write {}",
                                      name.text, function->usage));
      return kNoNode;
    }
    std::string remedy = Suggestion(name.text, columns_);
    if (remedy.empty()) {
      constexpr size_t kListed = 8;
      std::vector<std::string> known;
      for (const std::string_view column : columns_.first(std::min(columns_.size(), kListed))) {
        known.push_back(Shown(column));
      }
      remedy = columns_.empty() ? "; there are no columns"
                                : fmt::format("; known are {}{}", fmt::join(known, ", "),
                                              columns_.size() > kListed ? ", ..." : "");
    }
    Fail(name.position, fmt::format("unknown column `{}`{}", Shown(name.text), remedy));
    return kNoNode;
  }

  uint32_t ParseCall(const Token& name) {
    const Function* function = FindFunction(name.text);
    if (function == nullptr) {
      std::array<std::string_view, kFunctions.size()> names;
      std::transform(kFunctions.begin(), kFunctions.end(), names.begin(),
                     [](const Function& f) { return f.name; });
      std::string remedy = Suggestion(name.text, names);
      if (std::find(columns_.begin(), columns_.end(), name.text) != columns_.end()) {
        remedy = ", it is a column; a product is written x * (y)";
      } else if (remedy.empty()) {
        remedy = fmt::format("; known are {}", fmt::join(names, ", "));
      }
      Fail(name.position, fmt::format("unknown function `{}`{}", Shown(name.text), remedy));
      return kNoNode;
    }
    const size_t opened = token_.position;
    Advance();
    return Nested(name.position, [&]() -> uint32_t {
      std::vector<uint32_t> arguments;
      if (!IsSymbol(")")) {
        arguments.push_back(ParseFrom(kOrLevel));
        while (status_.ok() && IsSymbol(",")) {
          Advance();
          arguments.push_back(ParseFrom(kOrLevel));
        }
      }
      Close(opened);
      if (!status_.ok()) return kNoNode;
      return MakeCall(name, *function, std::move(arguments));
    });
  }

  uint32_t MakeCall(const Token& name, const Function& function, std::vector<uint32_t> arguments) {
    const size_t n = arguments.size();
    if (n < function.least_arguments || n > function.most_arguments) {
      Fail(name.position, fmt::format("`{}` has {} argument{}; write {}", name.text, n,
                                      n == 1 ? "" : "s", function.usage));
      return kNoNode;
    }
    const bool is_aggregate =
        function.aggregate.has_value() && (function.op == Op::kAggregate || n == 1);
    double probability = 0;
    if (is_aggregate && *function.aggregate == AggregateKind::kQuantile) {
      const Node& p = nodes_[arguments[1]];
      if (p.op != Op::kNumber || !(p.number >= 0 && p.number <= 1)) {
        Fail(p.position,
             "the second argument of quantile must be a number between 0 and 1, for "
             "example 0.5");
        return kNoNode;
      }
      probability = p.number;
      arguments.pop_back();
    }
    const uint32_t node =
        Make(is_aggregate ? Op::kAggregate : function.op, name.position, std::move(arguments));
    if (node != kNoNode && is_aggregate) {
      nodes_[node].aggregate = *function.aggregate;
      nodes_[node].number = probability;
    }
    return node;
  }

  std::string_view text_;
  std::span<const std::string_view> columns_;
  size_t at_ = 0;
  int depth_ = 0;
  Token token_;
  absl::Status status_;
  std::vector<Node> nodes_;
};

Level LevelOf(const Node& node) {
  switch (node.op) {
    case Op::kNot:
      return kNotLevel;
    case Op::kNegate:
      return kUnaryLevel;
    case Op::kPower:
      return kPowerLevel;
    default:
      break;
  }
  const Infix* infix = FindInfix(node.op);
  return infix == nullptr ? kPrimaryLevel : infix->level;
}

std::string_view FunctionName(const Node& node) {
  for (const Function& function : kFunctions) {
    if (node.op == Op::kAggregate ? function.aggregate == node.aggregate : function.op == node.op) {
      return function.name;
    }
  }
  return "";
}

size_t StepOperands(Op op) {
  switch (op) {
    case Op::kNumber:
    case Op::kColumn:
    case Op::kAggregate:
      return 0;
    case Op::kNegate:
    case Op::kNot:
    case Op::kLog:
    case Op::kLog2:
    case Op::kExp:
    case Op::kSqrt:
    case Op::kAbs:
    case Op::kIsFinite:
      return 1;
    case Op::kClip:
    case Op::kIf:
      return 3;
    default:
      return 2;
  }
}

}  // namespace

// Turns a tree into an Expression. Its functions recurse as deep as the tree is high, which
// kMaxNodes bounds.
class ExpressionCompiler {
 public:
  ExpressionCompiler(const std::vector<Node>& nodes, std::span<const std::string_view> columns)
      : nodes_(nodes), columns_(columns) {}

  absl::StatusOr<Expression> Compile(uint32_t root) {
    if (absl::Status status = CheckPlaces(root, nullptr); !status.ok()) return status;
    if (!has_aggregate_) {
      return ErrorAt(0,
                     "has no aggregate, so that it is not about rows; write, for example, "
                     "mean(x) with a column's name for x");
    }
    Print(root, kOrLevel, out_.canonical_);
    if (out_.canonical_.size() > Expression::kMaxTextLength) {
      return ErrorAt(0, fmt::format("its canonical text has {} bytes, more than {}; split it into "
                                    "several metrics",
                                    out_.canonical_.size(), Expression::kMaxTextLength));
    }
    out_.n_columns_ = columns_.size();
    out_.column_names_.resize(columns_.size());
    size_t depth = 0;
    size_t most = 0;
    Emit(root, out_.steps_, nullptr, depth, most);
    const Shape shape = ToSmooth(ShapeOf(root));
    if (shape.kind == Shape::kSmooth) out_.error_core_ = shape.core;
    return std::move(out_);
  }

 private:
  // How the expression depends on the aggregates, for its standard error.
  struct Shape {
    enum Kind { kConstant, kProduct, kSmooth, kOther };
    Kind kind = kConstant;
    // Of a kProduct: the aggregates' exponents, none of them 0, times a constant.
    std::map<uint32_t, int> exponents;
    // Of a kSmooth.
    Expression::ErrorCore core;
  };

  // Columns inside aggregates, aggregates not inside each other. `outer` is the aggregate above.
  absl::Status CheckPlaces(uint32_t at, const Node* outer) {
    const Node& node = nodes_[at];
    if (node.op == Op::kColumn && outer == nullptr) {
      return ErrorAt(node.position,
                     fmt::format("column `{}` stands outside of every aggregate; write, for "
                                 "example, mean({})",
                                 columns_[node.column], columns_[node.column]));
    }
    if (node.op == Op::kAggregate) {
      if (outer != nullptr) {
        const std::string_view name = FunctionName(node);
        const bool also_function =
            node.aggregate == AggregateKind::kMin || node.aggregate == AggregateKind::kMax;
        return ErrorAt(
            node.position,
            fmt::format("`{}` is an aggregate inside the aggregate `{}`; {}", name,
                        FunctionName(*outer),
                        also_function ? "of a row's values it needs two or more"
                                      : "combine aggregates by arithmetic outside of each other"));
      }
      has_aggregate_ = true;
      outer = &node;
    }
    for (const uint32_t argument : node.arguments) {
      if (absl::Status status = CheckPlaces(argument, outer); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void Print(uint32_t at, int level, std::string& out) const {
    const Node& node = nodes_[at];
    const bool parentheses = LevelOf(node) < level;
    if (parentheses) out += '(';
    if (node.op == Op::kNumber) {
      out += fmt::format("{}", node.number);
    } else if (node.op == Op::kColumn) {
      out += columns_[node.column];
    } else if (node.op == Op::kNegate) {
      out += '-';
      Print(node.arguments[0], kUnaryLevel, out);
    } else if (node.op == Op::kNot) {
      out += "not ";
      Print(node.arguments[0], kNotLevel, out);
    } else if (node.op == Op::kPower) {
      Print(node.arguments[0], kPrimaryLevel, out);
      out += " ^ ";
      Print(node.arguments[1], kUnaryLevel, out);
    } else if (const Infix* infix = FindInfix(node.op); infix != nullptr) {
      // A comparison takes no other one on either side.
      const int left = infix->level == kComparisonLevel ? kSumLevel : infix->level;
      Print(node.arguments[0], left, out);
      out += fmt::format(" {} ", infix->text);
      Print(node.arguments[1], infix->level + 1, out);
    } else {
      out += FunctionName(node);
      out += '(';
      for (size_t i = 0; i < node.arguments.size(); ++i) {
        if (i > 0) out += ", ";
        Print(node.arguments[i], kOrLevel, out);
      }
      if (node.op == Op::kAggregate && node.aggregate == AggregateKind::kQuantile) {
        out += fmt::format(", {}", node.number);
      }
      out += ')';
    }
    if (parentheses) out += ')';
  }

  // Appends the steps of a node. `row` is what they belong to, or nullptr outside aggregates.
  void Emit(uint32_t at, std::vector<ExpressionStep>& steps, Expression::Row* row, size_t& depth,
            size_t& most) {
    const Node& node = nodes_[at];
    const auto push = [&](const ExpressionStep& step) {
      depth += 1 - StepOperands(step.op);
      most = std::max(most, depth);
      steps.push_back(step);
    };
    switch (node.op) {
      case Op::kNumber:
        push({.op = node.op, .number = node.number});
        return;
      case Op::kColumn:
        out_.column_names_[node.column] = std::string(columns_[node.column]);
        row->columns.push_back(node.column);
        push({.op = node.op, .index = node.column});
        return;
      case Op::kAggregate:
        push({.op = node.op, .index = AggregateOf(at)});
        return;
      case Op::kMin:
      case Op::kMax:
        for (size_t i = 0; i < node.arguments.size(); ++i) {
          Emit(node.arguments[i], steps, row, depth, most);
          if (i > 0) push({.op = node.op});
        }
        return;
      default:
        for (const uint32_t argument : node.arguments) Emit(argument, steps, row, depth, most);
        push({.op = node.op});
    }
  }

  // The index of an aggregate, made if it is new.
  uint32_t AggregateOf(uint32_t at) {
    std::string text;
    Print(at, kOrLevel, text);
    const auto [known, is_new] =
        aggregate_of_text_.try_emplace(text, static_cast<uint32_t>(out_.aggregates_.size()));
    if (!is_new) return known->second;
    const Node& node = nodes_[at];
    out_.aggregates_.push_back({.kind = node.aggregate,
                                .row = RowOf(node.arguments[0]),
                                .probability = node.number,
                                .text = std::move(text)});
    return known->second;
  }

  uint32_t RowOf(uint32_t at) {
    Expression::Row row;
    Print(at, kOrLevel, row.text);
    const auto [known, is_new] =
        row_of_text_.try_emplace(row.text, static_cast<uint32_t>(out_.rows_.size()));
    if (!is_new) return known->second;
    size_t depth = 0;
    Emit(at, row.steps, &row, depth, row.stack);
    std::sort(row.columns.begin(), row.columns.end());
    row.columns.erase(std::unique(row.columns.begin(), row.columns.end()), row.columns.end());
    out_.rows_.push_back(std::move(row));
    return known->second;
  }

  static Shape Other() { return {.kind = Shape::kOther}; }

  // A product that an error can be given for, as a function of its core: a power of a mean, or of a
  // ratio.
  Shape ToSmooth(const Shape& shape) const {
    if (shape.kind != Shape::kProduct) return shape;
    const auto& [first, first_exponent] = *shape.exponents.begin();
    const auto& [last, last_exponent] = *shape.exponents.rbegin();
    Shape smooth{.kind = Shape::kSmooth};
    if (shape.exponents.size() == 1) {
      smooth.core = {.numerator = first, .linear = first_exponent == 1};
      return out_.aggregates_[first].kind == AggregateKind::kMean ? smooth : Other();
    }
    if (shape.exponents.size() != 2 || first_exponent != -last_exponent) return Other();
    const uint32_t above = first_exponent > 0 ? first : last;
    const uint32_t below = first_exponent > 0 ? last : first;
    smooth.core = {.numerator = above,
                   .denominator = below,
                   .linear = std::max(first_exponent, last_exponent) == 1};
    const AggregateKind over = out_.aggregates_[above].kind;
    const AggregateKind under = out_.aggregates_[below].kind;
    const bool sums = over == AggregateKind::kSum &&
                      (under == AggregateKind::kSum || under == AggregateKind::kCount);
    const bool means = over == AggregateKind::kMean && under == AggregateKind::kMean;
    return sums || means ? smooth : Other();
  }

  // A differentiable function of the arguments; linear if it is so in each of them.
  Shape Smooth(std::span<const Shape> arguments, bool linear) const {
    Shape out;
    for (const Shape& argument : arguments) {
      const Shape smooth = ToSmooth(argument);
      if (smooth.kind == Shape::kConstant) continue;
      if (smooth.kind != Shape::kSmooth) return Other();
      if (out.kind == Shape::kSmooth && (out.core.numerator != smooth.core.numerator ||
                                         out.core.denominator != smooth.core.denominator)) {
        return Other();
      }
      const bool before = out.kind == Shape::kConstant || out.core.linear;
      out = smooth;
      out.core.linear = before && smooth.core.linear && linear;
    }
    return out;
  }

  Shape ShapeOf(uint32_t at) {
    const Node& node = nodes_[at];
    if (node.op == Op::kAggregate) {
      const bool additive = node.aggregate == AggregateKind::kMean ||
                            node.aggregate == AggregateKind::kSum ||
                            node.aggregate == AggregateKind::kCount;
      if (!additive) return Other();
      return {.kind = Shape::kProduct, .exponents = {{AggregateOf(at), 1}}};
    }
    std::vector<Shape> arguments;
    bool constant = true;
    for (const uint32_t argument : node.arguments) {
      arguments.push_back(ShapeOf(argument));
      constant &= arguments.back().kind == Shape::kConstant;
    }
    if (constant) return {};
    switch (node.op) {
      case Op::kNegate:
        return arguments[0];
      case Op::kMultiply:
      case Op::kDivide:
        return ProductShape(arguments[0], arguments[1], node.op == Op::kDivide ? -1 : 1);
      case Op::kAdd:
      case Op::kSubtract:
        return Smooth(arguments, true);
      case Op::kPower:
        return arguments[1].kind == Shape::kConstant ? Smooth(arguments, false) : Other();
      case Op::kLog:
      case Op::kLog2:
      case Op::kExp:
      case Op::kSqrt:
        return Smooth(arguments, false);
      default:
        return Other();
    }
  }

  Shape ProductShape(const Shape& a, const Shape& b, int sign) const {
    const auto is_product = [](const Shape& shape) {
      return shape.kind == Shape::kProduct || shape.kind == Shape::kConstant;
    };
    if (!is_product(a) || !is_product(b)) {
      const std::array<Shape, 2> both = {a, b};
      return Smooth(both, sign == 1 ? a.kind == Shape::kConstant || b.kind == Shape::kConstant
                                    : b.kind == Shape::kConstant);
    }
    Shape out = a;
    for (const auto& [aggregate, exponent] : b.exponents) {
      const auto place = out.exponents.try_emplace(aggregate, 0).first;
      place->second += sign * exponent;
      if (place->second == 0) out.exponents.erase(place);
    }
    out.kind = out.exponents.empty() ? Shape::kConstant : Shape::kProduct;
    return out;
  }

  const std::vector<Node>& nodes_;
  std::span<const std::string_view> columns_;
  bool has_aggregate_ = false;
  std::map<std::string, uint32_t> aggregate_of_text_;
  std::map<std::string, uint32_t> row_of_text_;
  Expression out_;
};

absl::StatusOr<Expression> Expression::Parse(std::string_view text,
                                             std::span<const std::string_view> columns) {
  std::map<std::string_view, size_t> seen;
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto [first, is_new] = seen.try_emplace(columns[i], i);
    if (!is_new && IsName(columns[i])) {
      return absl::InvalidArgumentError(
          fmt::format("columns[{}] is \"{}\", as columns[{}]: names must differ", i,
                      Shown(columns[i]), first->second));
    }
  }
  if (text.size() > kMaxTextLength) {
    return ErrorAt(kMaxTextLength, fmt::format("{} bytes are more than {}; split it into several "
                                               "metrics",
                                               text.size(), kMaxTextLength));
  }
  Parser parser(text, columns);
  const absl::StatusOr<uint32_t> root = parser.Parse();
  if (!root.ok()) return root.status();
  return ExpressionCompiler(parser.nodes(), columns).Compile(*root);
}

std::string Expression::Signature() const { return fmt::format("expression|{}|v1", canonical_); }

}  // namespace mirage::metrics
