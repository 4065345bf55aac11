type Child = Node | string | undefined | false;
type Attributes = Record<string, string | boolean | undefined | ((event: never) => void)>;

/** Makes an element. Text is always text: nothing that a user wrote is ever parsed as HTML. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    // Set by script: the page's CSP allows no style in markup.
    if (name === 'hue') element.style.setProperty('--hue', String(value));
    else if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, '');
    else if (typeof value === 'string') element.setAttribute(name, value);
  }
  for (const child of children) if (child !== undefined && child !== false) element.append(child);
  return element;
}

/** Brings the children of `parent` in line with `items`, keeping the elements whose key and version are the same. */
export function reconcile<T>(
  parent: HTMLElement,
  items: readonly T[],
  keyOf: (item: T) => string,
  versionOf: (item: T) => string,
  render: (item: T) => HTMLElement,
): void {
  const old = new Map([...parent.children].map((child) => [(child as HTMLElement).dataset.key, child as HTMLElement]));
  let place: Element | null = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const version = versionOf(item);
    let element = old.get(key);
    old.delete(key);
    if (element === undefined || element.dataset.version !== version) {
      const fresh = render(item);
      fresh.dataset.key = key;
      fresh.dataset.version = version;
      if (element !== undefined && element === place) place = element.nextElementSibling;
      element?.remove();
      element = fresh;
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const left of old.values()) left.remove();
}

/** The time of day, as the reader writes it. */
export function timeOfDay(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}
