// What the top bar and the browser's tab call the page; a page sets it where its name is not enough.

class Title {
  own = $state<string | null>(null);

  /** Sets the title as long as the page is there: `$effect(() => title.use('api:user123'))`. */
  use(text: string): () => void {
    this.own = text;
    return () => {
      if (this.own === text) this.own = null;
    };
  }
}

export const title = new Title();
