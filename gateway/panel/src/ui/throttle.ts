import { useEffect, useRef, useState } from "react";

/** Returns the latest value, updated at most once per interval. */
export function useThrottled<T>(value: T, intervalMs: number): T {
  const [shown, setShown] = useState(value);
  const updatedAt = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, updatedAt.current + intervalMs - Date.now());
    const timer = setTimeout(() => {
      updatedAt.current = Date.now();
      setShown(value);
    }, wait);
    return () => clearTimeout(timer);
  }, [value, intervalMs]);
  return shown;
}
