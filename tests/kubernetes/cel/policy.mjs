// SPDX-License-Identifier: Apache-2.0
// Judges requests by a ValidatingAdmissionPolicy, as the API server does: stdin {policy, cases: [{request, object,
// oldObject}]}, stdout [{matched, allowed, messages}]. An expression that fails denies (failurePolicy Fail).
//
// The evaluator follows the language's conformance tests. What it can't show: Kubernetes' type check (which only
// warns) and its limits of cost.
import { readFileSync } from "node:fs";
import { celEnv, parse, plan } from "@bufbuild/cel";

const env = celEnv();
const planned = new Map();

function evaluate(expression, bindings) {
  if (!planned.has(expression)) planned.set(expression, plan(env, parse(expression)));
  const value = planned.get(expression)(bindings);
  if (value !== null && typeof value === "object" && value.constructor?.name === "CelError") throw value;
  if (value instanceof Error) throw value;
  return value;
}

// JSON's objects are CEL's maps.
function bind(value) {
  if (Array.isArray(value)) return value.map(bind);
  if (value !== null && typeof value === "object")
    return new Map(Object.entries(value).map(([key, inner]) => [key, bind(inner)]));
  return value;
}

function judge(spec, one) {
  const bindings = { request: bind(one.request), object: bind(one.object ?? null), oldObject: bind(one.oldObject ?? null) };
  const verdict = { matched: true, allowed: true, messages: [] };
  for (const condition of spec.matchConditions ?? [])
    if (evaluate(condition.expression, bindings) !== true) return { matched: false, allowed: true, messages: [] };
  // The server works variables out when they are first asked for; one that fails is an error there.
  const variables = new Map();
  bindings.variables = variables;
  for (const { name, expression } of spec.variables ?? []) {
    try {
      variables.set(name, evaluate(expression, bindings));
    } catch {
      continue;
    }
  }
  for (const validation of spec.validations) {
    let passed = false;
    let message = validation.message;
    try {
      passed = evaluate(validation.expression, bindings) === true;
      if (!passed && validation.messageExpression) message = evaluate(validation.messageExpression, bindings);
    } catch (error) {
      message = `expression failed: ${error.message ?? error}`;
    }
    if (!passed) {
      verdict.allowed = false;
      verdict.messages.push(message);
    }
  }
  return verdict;
}

const { policy, cases } = JSON.parse(readFileSync(0, "utf8"));
if (policy.spec.failurePolicy !== "Fail") throw new Error("this judges policies with failurePolicy Fail");
process.stdout.write(JSON.stringify(cases.map((one) => judge(policy.spec, one))) + "\n");
