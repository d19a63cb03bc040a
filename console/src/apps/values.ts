// Reading of values that another program sent: a value of an unexpected type counts as missing.

export type Values = Record<string, unknown>;

export const isValues = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);

export const values = (value: unknown): Values => (isValues(value) ? value : {});
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
export const texts = (value: unknown): string[] => list(value).flatMap((item) => text(item) ?? []);
export const count = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);

/** A value as a person reads it. */
export const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
