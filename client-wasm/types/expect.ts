// Says that two types are one; nothing else, and never at run time.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** `expectType<string>()(value)` compiles if the value's type is `string`, neither wider nor narrower nor `any`. */
export declare function expectType<Expected>(): <Actual>(
  value: Actual,
  ...mismatch: Same<Actual, Expected> extends true ? [] : [expected: Expected]
) => void;
