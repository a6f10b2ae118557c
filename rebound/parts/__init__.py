"""What single options need; each part is loaded only if an option asks for it."""
