// Keeps what two viewports show the same, in relative coordinates, while they are linked.
export class Link {
  #viewport;
  #other = null;
  #isFollowing = false;

  constructor(viewport) {
    this.#viewport = viewport;
    viewport.addEventListener("change", () => this.#lead());
  }

  // Link with another one, which leaves the one it had; null ends the link of both.
  to(other) {
    const before = this.#other;
    if (before === other) return;
    this.#other = other;
    if (before !== null && before.#other === this) before.to(null);
    if (other === null) return;
    other.to(this);
    this.#lead();
  }

  #lead() {
    if (this.#other !== null && !this.#isFollowing) this.#other.#follow(this.#viewport.relative);
  }

  #follow(view) {
    this.#isFollowing = true;
    this.#viewport.setRelative(view);
    this.#isFollowing = false;
  }
}
