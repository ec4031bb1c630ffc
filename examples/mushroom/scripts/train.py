"""Train the classifier and write models/mushroom.joblib."""

from mushroom.training import main

if __name__ == "__main__":
    main()
